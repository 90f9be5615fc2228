output "rule" {
  description = "The rule in the manifest: a migration disables it."
  value       = { name = aws_cloudwatch_event_rule.this.name, event_bus_name = "default" }
}

output "alarm_arns" {
  description = "Alarms in the manifest."
  value       = [aws_cloudwatch_metric_alarm.failed.arn, aws_cloudwatch_metric_alarm.undelivered.arn]
}

output "rule" {
  description = "The rule in the manifest: a migration disables it."
  value       = { name = aws_cloudwatch_event_rule.this.name, event_bus_name = "default" }
}

output "undelivered_queue" {
  description = "Name of the queue with what the rule could not start; an alarm is on it."
  value       = aws_sqs_queue.undelivered.name
}

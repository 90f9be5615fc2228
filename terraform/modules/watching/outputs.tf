locals {
  alarm_arns = sort(concat(
    [aws_cloudwatch_metric_alarm.latency.arn],
    [
      for alarm in concat(
        values(aws_cloudwatch_metric_alarm.errors),
        values(aws_cloudwatch_metric_alarm.unhealthy_hosts),
        values(aws_cloudwatch_metric_alarm.database_cpu),
        values(aws_cloudwatch_metric_alarm.database_free_storage),
        values(aws_cloudwatch_metric_alarm.database_connections),
        values(aws_cloudwatch_metric_alarm.runbooks),
        values(aws_cloudwatch_metric_alarm.dead_letters),
      ) : alarm.arn
    ],
  ))
}

output "alarm_arns" {
  description = "Every alarm, for the manifest: a migration says which were raised before it began."
  value       = local.alarm_arns
}

output "service_alarm_names" {
  description = "Alarms of what clients of the API see: reasons to take a release back."
  value = sort(concat(
    [aws_cloudwatch_metric_alarm.latency.alarm_name],
    values(aws_cloudwatch_metric_alarm.errors)[*].alarm_name,
  ))
}

data "aws_region" "current" {}

locals {
  topics = [var.notification_topic_arn]

  # Shares of fewer requests than this in a period say nothing.
  fewest_requests = 20
}

# The API, as its clients see it. No request, no data: nobody is asking, so nothing is wrong.

resource "aws_cloudwatch_metric_alarm" "errors" {
  for_each = {
    balancer = {
      metric      = "HTTPCode_ELB_5XX_Count"
      threshold   = var.thresholds.balancer_errors_percent
      description = "The load balancer itself answers with 5xx: no healthy task, or tasks that do not answer in time. Look at the unhealthy hosts and the service's events"
    }
    target = {
      metric      = "HTTPCode_Target_5XX_Count"
      threshold   = var.thresholds.target_errors_percent
      description = "The API answers with 5xx. Look at its log"
    }
  }

  alarm_name          = "${var.name}-api-${each.key}-errors"
  alarm_description   = each.value.description
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.topics
  ok_actions          = local.topics

  metric_query {
    id          = "share"
    label       = "Answers with 5xx, per cent"
    expression  = "IF(requests >= ${local.fewest_requests}, 100 * errors / requests, 0)"
    return_data = true
  }

  metric_query {
    id = "errors"

    metric {
      namespace   = "AWS/ApplicationELB"
      metric_name = each.value.metric
      period      = 60
      stat        = "Sum"
      dimensions  = { LoadBalancer = var.balancer }
    }
  }

  metric_query {
    id = "requests"

    metric {
      namespace   = "AWS/ApplicationELB"
      metric_name = "RequestCount"
      period      = 60
      stat        = "Sum"
      dimensions  = { LoadBalancer = var.balancer }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "latency" {
  alarm_name          = "${var.name}-api-latency"
  alarm_description   = "One request in twenty waits longer than this. Look at the database's CPU and connections first"
  namespace           = "AWS/ApplicationELB"
  metric_name         = "TargetResponseTime"
  extended_statistic  = "p95"
  dimensions          = { LoadBalancer = var.balancer }
  period              = 60
  evaluation_periods  = 10
  datapoints_to_alarm = 8
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.thresholds.latency_seconds
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.topics
  ok_actions          = local.topics

  # The slowest of three requests at night are no percentile.
  evaluate_low_sample_count_percentiles = "ignore"
}

# A group without targets reports nothing: that of the release before, and both while a migration has stopped the API. When targets
# are missing that should be there, the load balancer answers 503, which is the alarm of its errors.
resource "aws_cloudwatch_metric_alarm" "unhealthy_hosts" {
  for_each = var.target_groups

  alarm_name          = "${var.name}-api-${each.key}-unhealthy-hosts"
  alarm_description   = "A task of the API does not pass its health check. Look at the service's events and at the log"
  namespace           = "AWS/ApplicationELB"
  metric_name         = "UnHealthyHostCount"
  statistic           = "Maximum"
  dimensions          = { LoadBalancer = var.balancer, TargetGroup = each.value }
  period              = 60
  evaluation_periods  = 5
  datapoints_to_alarm = 5
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.topics
  ok_actions          = local.topics
}

# Databases. One that reports nothing is new or was stopped, and an alarm that knows nothing says so (INSUFFICIENT_DATA): neither
# "all is well" nor a message in the night.

resource "aws_cloudwatch_metric_alarm" "database_cpu" {
  for_each = var.databases

  alarm_name          = "${var.name}-database-${each.key}-cpu"
  alarm_description   = "The database computes at its limit. Look for slow queries, or give it a larger instance class"
  namespace           = "AWS/RDS"
  metric_name         = "CPUUtilization"
  statistic           = "Average"
  dimensions          = { DBInstanceIdentifier = each.value.instance_id }
  period              = 300
  evaluation_periods  = 3
  datapoints_to_alarm = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.thresholds.database_cpu_percent
  treat_missing_data  = "missing"
  alarm_actions       = local.topics
  ok_actions          = local.topics
}

resource "aws_cloudwatch_metric_alarm" "database_free_storage" {
  for_each = var.databases

  alarm_name          = "${var.name}-database-${each.key}-free-storage"
  alarm_description   = "The database's storage runs full, and it will refuse to write. Raise its allocated storage"
  namespace           = "AWS/RDS"
  metric_name         = "FreeStorageSpace"
  statistic           = "Minimum"
  dimensions          = { DBInstanceIdentifier = each.value.instance_id }
  period              = 300
  evaluation_periods  = 2
  datapoints_to_alarm = 2
  comparison_operator = "LessThanThreshold"
  threshold           = floor(each.value.allocated_storage * 1073741824 * var.thresholds.database_free_storage_percent / 100)
  treat_missing_data  = "missing"
  alarm_actions       = local.topics
  ok_actions          = local.topics
}

resource "aws_cloudwatch_metric_alarm" "database_connections" {
  for_each = var.databases

  alarm_name          = "${var.name}-database-${each.key}-connections"
  alarm_description   = "The database has nearly as many connections as it takes. Look for sessions that are left open"
  namespace           = "AWS/RDS"
  metric_name         = "DatabaseConnections"
  statistic           = "Maximum"
  dimensions          = { DBInstanceIdentifier = each.value.instance_id }
  period              = 60
  evaluation_periods  = 5
  datapoints_to_alarm = 5
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.thresholds.database_connections
  treat_missing_data  = "missing"
  alarm_actions       = local.topics
  ok_actions          = local.topics
}

# Runbooks and background jobs. They report when an execution ends; between two of them nothing fails. The alarm is over with the
# next quiet period, so there is no message for that: the failure is still there.
resource "aws_cloudwatch_metric_alarm" "runbooks" {
  for_each = var.runbooks

  alarm_name          = "${var.name}-${each.key}-failed"
  alarm_description   = "An execution of ${var.name}-${each.key} failed, ran out of time or was stopped. Its cause is in Step Functions and, for a run, in its run folder"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 1
  datapoints_to_alarm = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.topics

  metric_query {
    id          = "ended"
    label       = "Executions that did not succeed"
    expression  = "SUM([failed, late, stopped])"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { failed = "ExecutionsFailed", late = "ExecutionsTimedOut", stopped = "ExecutionsAborted" }

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/States"
        metric_name = metric_query.value
        period      = 300
        stat        = "Sum"
        dimensions  = { StateMachineArn = each.value }
      }
    }
  }
}

# An empty queue stops reporting after some hours.
resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  for_each = var.dead_letter_queues

  alarm_name          = "${var.name}-${each.key}-dead-letters"
  alarm_description   = "${each.value} holds messages that nobody could process. Read them, remove the cause, send them again"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  statistic           = "Maximum"
  dimensions          = { QueueName = each.value }
  period              = 300
  evaluation_periods  = 1
  datapoints_to_alarm = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.topics
  ok_actions          = local.topics
}

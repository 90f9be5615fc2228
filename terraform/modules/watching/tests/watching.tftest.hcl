mock_provider "aws" {
  source = "../../tests/aws"
}

variables {
  name                   = "know-me-staging"
  notification_topic_arn = "arn:aws:sns:us-east-1:123456789012:know-me-staging-notifications"
  balancer               = "app/know-me-staging/1"
  target_groups          = { blue = "targetgroup/know-me-staging-api-blue/1", green = "targetgroup/know-me-staging-api-green/2" }
  service                = { cluster = "know-me-staging", name = "know-me-staging-api" }
  databases = {
    blue  = { instance_id = "know-me-staging-blue", allocated_storage = 20 }
    green = { instance_id = "know-me-staging-green", allocated_storage = 100 }
  }
  runbooks           = { migrate = "arn:aws:states:us-east-1:123456789012:stateMachine:know-me-staging-migrate" }
  dead_letter_queues = { return = "know-me-staging-return-undelivered" }
  distribution_id    = "EPRETENDED"
  firewall           = "know-me-staging-api"
  thresholds = {
    balancer_errors_percent       = 2
    target_errors_percent         = 5
    latency_seconds               = 2
    database_cpu_percent          = 85
    database_free_storage_percent = 15
    database_connections          = 300
  }
}

run "every_alarm_tells_the_topic" {
  assert {
    condition = alltrue([
      for alarm in concat(
        [aws_cloudwatch_metric_alarm.latency], values(aws_cloudwatch_metric_alarm.errors), values(aws_cloudwatch_metric_alarm.unhealthy_hosts),
        values(aws_cloudwatch_metric_alarm.database_cpu), values(aws_cloudwatch_metric_alarm.database_free_storage), values(aws_cloudwatch_metric_alarm.database_connections),
        values(aws_cloudwatch_metric_alarm.runbooks), values(aws_cloudwatch_metric_alarm.dead_letters),
      ) : alarm.alarm_actions == toset([var.notification_topic_arn]) && startswith(alarm.alarm_name, "know-me-staging-")
    ])
    error_message = "An alarm that nobody hears is none."
  }

  assert {
    condition     = length(output.alarm_arns) == 2 + 1 + 2 + 3 * 2 + 1 + 1
    error_message = "The manifest must name every alarm."
  }
}

run "each_generation_of_the_database_is_watched" {
  assert {
    condition     = { for generation, alarm in aws_cloudwatch_metric_alarm.database_cpu : generation => alarm.dimensions.DBInstanceIdentifier } == { blue = "know-me-staging-blue", green = "know-me-staging-green" }
    error_message = "A candidate is watched while it is filled."
  }

  assert {
    condition     = { for generation, alarm in aws_cloudwatch_metric_alarm.database_free_storage : generation => alarm.threshold } == { blue = 3221225472, green = 16106127360 }
    error_message = "15 per cent of 20 and of 100 GiB, in bytes."
  }
}

run "both_target_groups_are_watched" {
  assert {
    condition     = tomap({ for name, alarm in aws_cloudwatch_metric_alarm.unhealthy_hosts : name => alarm.dimensions.TargetGroup }) == var.target_groups
    error_message = "After each release it is the other one that serves."
  }
}

run "silence_is_judged_by_what_it_means" {
  assert {
    condition = alltrue([
      for alarm in concat([aws_cloudwatch_metric_alarm.latency], values(aws_cloudwatch_metric_alarm.errors), values(aws_cloudwatch_metric_alarm.unhealthy_hosts), values(aws_cloudwatch_metric_alarm.runbooks), values(aws_cloudwatch_metric_alarm.dead_letters)) :
      alarm.treat_missing_data == "notBreaching"
    ])
    error_message = "Without requests, executions or messages nothing is wrong."
  }

  assert {
    condition = alltrue([
      for alarm in concat(values(aws_cloudwatch_metric_alarm.database_cpu), values(aws_cloudwatch_metric_alarm.database_free_storage), values(aws_cloudwatch_metric_alarm.database_connections)) :
      alarm.treat_missing_data == "missing"
    ])
    error_message = "A silent database is neither well nor ill."
  }
}

run "a_runbook_that_does_not_succeed_is_told_however_it_ended" {
  assert {
    condition     = toset(flatten([for query in aws_cloudwatch_metric_alarm.runbooks["migrate"].metric_query : query.metric[*].metric_name])) == toset(["ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"])
    error_message = "Failed, out of time, or stopped by hand."
  }

  assert {
    condition     = toset(flatten([for query in aws_cloudwatch_metric_alarm.runbooks["migrate"].metric_query : [for metric in query.metric : metric.dimensions.StateMachineArn]])) == toset([var.runbooks["migrate"]])
    error_message = "Of this state machine."
  }
}

run "one_dashboard_shows_everything" {
  assert {
    condition     = aws_cloudwatch_dashboard.this.dashboard_name == "know-me-staging"
    error_message = "One for each environment, of its name."
  }

  assert {
    condition     = toset(flatten([for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : [for metric in try(widget.properties.metrics, []) : metric[0]]])) == toset(["AWS/ApplicationELB", "AWS/ECS", "AWS/RDS", "AWS/States", "AWS/CloudFront", "AWS/WAFV2"])
    error_message = "The API, its tasks, databases, runbooks, the web app and the firewall."
  }
}

mock_provider "aws" {
  source = "../../tests/aws"
}

variables {
  name              = "know-me-staging"
  schedule          = "rate(15 minutes)"
  state_machine_arn = "arn:aws:states:us-east-1:123456789012:stateMachine:know-me-staging-background-jobs"
}

run "the_rule_starts_the_runbook_on_schedule" {
  assert {
    condition     = output.rule == { name = "know-me-staging-background-jobs", event_bus_name = "default" } && aws_cloudwatch_event_rule.this.schedule_expression == "rate(15 minutes)"
    error_message = "A migration disables the rule by the name in the manifest."
  }

  assert {
    condition     = aws_cloudwatch_event_target.this.arn == var.state_machine_arn && aws_cloudwatch_event_target.this.input == "{}"
    error_message = "The target is the runbook, with an empty input."
  }
}

run "the_rule_may_start_that_runbook_and_nothing_else" {
  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : [statement.Action, statement.Resource]] == [["states:StartExecution", var.state_machine_arn]]
    error_message = "The rule's role starts exactly one state machine."
  }

  assert {
    condition     = jsondecode(aws_iam_role.this.assume_role_policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "123456789012"
    error_message = "EventBridge may act for this account only."
  }
}

run "what_cannot_be_started_is_kept" {
  assert {
    condition     = aws_cloudwatch_event_target.this.dead_letter_config[0].arn == aws_sqs_queue.undelivered.arn && aws_cloudwatch_event_target.this.retry_policy[0].maximum_retry_attempts > 0
    error_message = "An event that cannot be delivered is tried again, then kept."
  }

  assert {
    condition     = output.undelivered_queue == "know-me-staging-background-jobs-undelivered"
    error_message = "An alarm is on the queue."
  }
}

data "aws_caller_identity" "current" {}

locals {
  name       = "${var.name}-background-jobs"
  account_id = data.aws_caller_identity.current.account_id
}

# The rule only starts the runbook; whether there is anything to do, the runbook finds out.
resource "aws_cloudwatch_event_rule" "this" {
  name                = local.name
  description         = "Background jobs of ${var.name}"
  schedule_expression = var.schedule

  lifecycle {
    # A migration disables it and enables it again.
    ignore_changes = [state]
  }
}

resource "aws_cloudwatch_event_target" "this" {
  rule      = aws_cloudwatch_event_rule.this.name
  target_id = "state-machine"
  arn       = var.state_machine_arn
  role_arn  = aws_iam_role.this.arn
  input     = jsonencode({})

  # What could not be started before the next time is started by the next time.
  retry_policy {
    maximum_event_age_in_seconds = 600
    maximum_retry_attempts       = 10
  }

  dead_letter_config {
    arn = aws_sqs_queue.undelivered.arn
  }
}

resource "aws_sqs_queue" "undelivered" {
  name                      = "${local.name}-undelivered"
  sqs_managed_sse_enabled   = true
  message_retention_seconds = 1209600 # 14 days, the longest
}

resource "aws_sqs_queue_policy" "undelivered" {
  queue_url = aws_sqs_queue.undelivered.url

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "WhatTheRuleCannotDeliver"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = aws_sqs_queue.undelivered.arn
        Condition = {
          ArnEquals    = { "aws:SourceArn" = aws_cloudwatch_event_rule.this.arn }
          StringEquals = { "aws:SourceAccount" = local.account_id }
        }
      },
      {
        Sid       = "OnlyTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = aws_sqs_queue.undelivered.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

resource "aws_iam_role" "this" {
  name        = "${local.name}-rule"
  description = "Starts the background jobs of ${var.name}"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  name = "start-background-jobs"
  role = aws_iam_role.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "StartBackgroundJobs"
      Effect   = "Allow"
      Action   = "states:StartExecution"
      Resource = var.state_machine_arn
    }]
  })
}

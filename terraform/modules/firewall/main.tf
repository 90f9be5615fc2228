locals {
  # A name may be followed by the port, as clients write it when it is not the usual one.
  hosts = length(var.hosts) == 0 ? null : "^(${join("|", [for host in var.hosts : replace(lower(host), ".", "[.]")])})(:[0-9]+)?$"

  managed_rules = {
    AWSManagedRulesAmazonIpReputationList = { priority = 2, counted = [] }
    AWSManagedRulesKnownBadInputsRuleSet  = { priority = 3, counted = [] }
    AWSManagedRulesCommonRuleSet          = { priority = 4, counted = var.counted_common_rules }
  }
}

resource "aws_wafv2_web_acl" "this" {
  #checkov:skip=CKV_AWS_192:AWSManagedRulesKnownBadInputsRuleSet is among local.managed_rules and blocks; the check does not read a dynamic rule

  name        = var.name
  description = "Stands before ${var.name}"
  scope       = var.scope

  default_action {
    allow {}
  }

  dynamic "rule" {
    for_each = local.hosts[*]

    content {
      name     = "hosts"
      priority = 0

      action {
        block {}
      }

      statement {
        not_statement {
          statement {
            regex_match_statement {
              regex_string = rule.value

              field_to_match {
                single_header {
                  name = "host"
                }
              }

              text_transformation {
                priority = 0
                type     = "LOWERCASE"
              }
            }
          }
        }
      }

      visibility_config {
        cloudwatch_metrics_enabled = true
        metric_name                = "hosts"
        sampled_requests_enabled   = true
      }
    }
  }

  dynamic "rule" {
    for_each = var.rate_limit[*]

    content {
      name     = "rate"
      priority = 1

      action {
        block {}
      }

      statement {
        rate_based_statement {
          limit                 = rule.value
          evaluation_window_sec = 300
          aggregate_key_type    = "IP"
        }
      }

      visibility_config {
        cloudwatch_metrics_enabled = true
        metric_name                = "rate"
        sampled_requests_enabled   = true
      }
    }
  }

  dynamic "rule" {
    for_each = local.managed_rules

    content {
      name     = rule.key
      priority = rule.value.priority

      override_action {
        none {}
      }

      statement {
        managed_rule_group_statement {
          vendor_name = "AWS"
          name        = rule.key

          dynamic "rule_action_override" {
            for_each = rule.value.counted

            content {
              name = rule_action_override.value

              action_to_use {
                count {}
              }
            }
          }
        }
      }

      visibility_config {
        cloudwatch_metrics_enabled = true
        metric_name                = rule.key
        sampled_requests_enabled   = true
      }
    }
  }

  visibility_config {
    cloudwatch_metrics_enabled = true
    metric_name                = var.name
    sampled_requests_enabled   = true
  }

  lifecycle {
    # Also orders its end: a distribution lets go of it before it is deleted, in the same apply.
    create_before_destroy = true
  }
}

resource "aws_wafv2_web_acl_association" "this" {
  for_each = var.resource_arns

  web_acl_arn  = aws_wafv2_web_acl.this.arn
  resource_arn = each.value
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338:How long logs are kept is each environment's choice (log_retention_days); they name people, so not longer than they help

  name              = "aws-waf-logs-${var.name}" # WAF writes into groups of this prefix only
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

# What was blocked or counted. Requests that pass are the application's to log.
resource "aws_wafv2_web_acl_logging_configuration" "this" {
  resource_arn            = aws_wafv2_web_acl.this.arn
  log_destination_configs = [aws_cloudwatch_log_group.this.arn]

  logging_filter {
    default_behavior = "DROP"

    filter {
      behavior    = "KEEP"
      requirement = "MEETS_ANY"

      condition {
        action_condition {
          action = "BLOCK"
        }
      }

      condition {
        action_condition {
          action = "COUNT"
        }
      }
    }
  }

  dynamic "redacted_fields" {
    for_each = ["authorization", "cookie"]

    content {
      single_header {
        name = redacted_fields.value
      }
    }
  }
}

mock_provider "aws" {
  source = "../../tests/aws"
}

variables {
  name               = "know-me-staging-api"
  scope              = "REGIONAL"
  hosts              = ["api.staging.example.com", "Pretended-1.us-east-1.elb.amazonaws.com"]
  rate_limit         = 2000
  resource_arns      = { api = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/pretended/1" }
  log_retention_days = 30
  kms_key_arn        = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
}

run "only_the_apps_own_names_are_answered" {
  assert {
    condition = [
      for rule in aws_wafv2_web_acl.this.rule : one(one(one(one(rule.statement).not_statement).statement).regex_match_statement).regex_string if rule.name == "hosts" && try(length(rule.action[0].block) == 1, false)
    ] == ["^(api[.]staging[.]example[.]com|pretended-1[.]us-east-1[.]elb[.]amazonaws[.]com)(:[0-9]+)?$"]
    error_message = "A dot is a dot, a port may follow, and nothing else."
  }
}

run "aws_keeps_the_rules_and_uploads_pass" {
  assert {
    condition = jsonencode({
      for rule in aws_wafv2_web_acl.this.rule : rule.name => one(one(rule.statement).managed_rule_group_statement).rule_action_override[*].name if length(one(rule.statement).managed_rule_group_statement) > 0
      }) == jsonencode({
      AWSManagedRulesAmazonIpReputationList = []
      AWSManagedRulesKnownBadInputsRuleSet  = []
      AWSManagedRulesCommonRuleSet          = ["SizeRestrictions_BODY"]
    })
    error_message = "Only the rule about large bodies is counted instead of blocking."
  }

  assert {
    condition     = length(distinct([for rule in aws_wafv2_web_acl.this.rule : rule.priority])) == length(aws_wafv2_web_acl.this.rule)
    error_message = "Rules have an order."
  }
}

run "one_address_cannot_ask_without_end" {
  assert {
    condition     = [for rule in aws_wafv2_web_acl.this.rule : one(one(rule.statement).rate_based_statement).limit if rule.name == "rate" && try(length(rule.action[0].block) == 1, false)] == [2000]
    error_message = "The limit is the one that was asked for."
  }
}

run "without_a_limit_there_is_no_rule_for_it" {
  variables {
    rate_limit = null
  }

  assert {
    condition     = !contains([for rule in aws_wafv2_web_acl.this.rule : rule.name], "rate")
    error_message = "null means no limit."
  }
}

run "what_was_blocked_is_logged_without_credentials" {
  assert {
    condition     = startswith(aws_cloudwatch_log_group.this.name, "aws-waf-logs-know-me-staging-") && aws_cloudwatch_log_group.this.kms_key_id == var.kms_key_arn
    error_message = "WAF writes into groups of this prefix only; the environment's key encrypts them."
  }

  assert {
    condition     = toset([for field in aws_wafv2_web_acl_logging_configuration.this.redacted_fields : field.single_header[0].name]) == toset(["authorization", "cookie"])
    error_message = "A log is no place for tokens."
  }
}

run "the_load_balancer_is_behind_it" {
  assert {
    condition     = tomap({ for name, association in aws_wafv2_web_acl_association.this : name => association.resource_arn }) == var.resource_arns
    error_message = "A firewall that nothing is behind does nothing."
  }
}

run "before_a_distribution_names_are_cloudfronts_to_check" {
  variables {
    scope         = "CLOUDFRONT"
    hosts         = []
    resource_arns = {}
  }

  assert {
    condition     = !contains([for rule in aws_wafv2_web_acl.this.rule : rule.name], "hosts") && length(aws_wafv2_web_acl_association.this) == 0
    error_message = "An empty list of names must not block everything, and a distribution names its web ACL itself."
  }
}

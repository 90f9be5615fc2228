mock_provider "aws" {
  source = "../../tests/aws"
}

variables {
  environment = "staging"
  generation  = "green"
  active      = true
  migration_principals = [
    "arn:aws:iam::123456789012:role/know-me-staging-media-copy",
    "arn:aws:iam::123456789012:role/know-me/staging/orchestrator/*",
  ]
  encryption              = "AES256"
  kms_key_arn             = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  public_static           = true
  cors_origins            = []
  noncurrent_version_days = 30
  deletion_protection     = true
}

run "the_manifest_names_bucket_rule_and_queue" {
  assert {
    condition = output.manifest == {
      generation        = "green"
      bucket            = "know-me-staging-media-green-123456789012"
      changes_rule      = "know-me-staging-media-green-changes"
      changes_queue_url = "https://sqs.us-east-1.amazonaws.com/123456789012/pretended"
    }
    error_message = "The runbooks find the generation by these names."
  }
}

run "every_version_is_kept_for_a_while" {
  assert {
    condition     = aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Enabled"
    error_message = "A mistake must be possible to take back."
  }

  assert {
    condition     = [for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule.noncurrent_version_expiration[0].noncurrent_days if rule.id == "old-versions"] == [30]
    error_message = "Old versions end after the days that were asked for."
  }

  assert {
    condition     = alltrue([for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule.status == "Enabled" && alltrue([for expiration in rule.expiration : expiration.expired_object_delete_marker && coalesce(expiration.days, 0) == 0])])
    error_message = "No rule may delete what is current."
  }
}

run "the_active_generation_is_open_to_the_app" {
  assert {
    condition     = jsondecode(aws_s3_bucket_policy.this.policy).Statement[*].Sid == ["OnlyTls", "EverybodyReadsStatic"]
    error_message = "The app writes into the active bucket."
  }
}

run "a_generation_that_is_not_active_is_written_by_migrations_only" {
  variables {
    active = false
  }

  assert {
    condition = jsonencode([for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement : statement if statement.Sid == "OnlyMigrationsWrite"]) == jsonencode([{
      Sid       = "OnlyMigrationsWrite"
      Effect    = "Deny"
      Principal = "*"
      Action    = ["s3:PutObject", "s3:PutObjectTagging", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:DeleteObjectTagging", "s3:RestoreObject"]
      Resource  = "arn:aws:s3:::pretended/*"
      Condition = { ArnNotLike = { "aws:PrincipalArn" = var.migration_principals } }
    }])
    error_message = "The statement is the contract's, word for word: a run takes it away and puts it on by this form."
  }
}

run "everybody_reads_static_and_nothing_else" {
  assert {
    condition     = [for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement : [statement.Action, statement.Resource] if statement.Effect == "Allow"] == [["s3:GetObject", "arn:aws:s3:::pretended/static/*"]]
    error_message = "Uploads are private."
  }

  assert {
    condition     = aws_s3_bucket_public_access_block.this.block_public_acls && aws_s3_bucket_public_access_block.this.ignore_public_acls
    error_message = "Only the bucket policy may open anything."
  }
}

run "without_public_static_nothing_is_public" {
  variables {
    public_static = false
  }

  assert {
    condition     = length([for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement : statement if statement.Effect == "Allow"]) == 0
    error_message = "No statement may open the bucket."
  }

  assert {
    condition     = aws_s3_bucket_public_access_block.this.block_public_policy && aws_s3_bucket_public_access_block.this.restrict_public_buckets
    error_message = "Nor may a later one."
  }
}

run "plain_http_is_refused" {
  assert {
    condition     = [for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement : [statement.Effect, statement.Action, statement.Condition.Bool["aws:SecureTransport"]] if statement.Sid == "OnlyTls"] == [["Deny", "s3:*", "false"]]
    error_message = "Files travel encrypted."
  }
}

run "by_default_s3_encrypts_with_its_own_keys" {
  assert {
    condition = [for rule in aws_s3_bucket_server_side_encryption_configuration.this.rule :
    [rule.apply_server_side_encryption_by_default[0].sse_algorithm, rule.bucket_key_enabled]] == [["AES256", false]]
    error_message = "ETags must stay comparable."
  }
}

run "the_environments_key_costs_one_request_per_bucket_key" {
  variables {
    encryption = "aws:kms"
  }

  assert {
    condition = [for rule in aws_s3_bucket_server_side_encryption_configuration.this.rule :
    [rule.apply_server_side_encryption_by_default[0].kms_master_key_id, rule.bucket_key_enabled]] == [[var.kms_key_arn, true]]
    error_message = "The environment's key, by way of a bucket key."
  }
}

run "pages_of_named_origins_read" {
  variables {
    cors_origins = ["https://app.example.com"]
  }

  assert {
    condition     = [for rule in aws_s3_bucket_cors_configuration.this[0].cors_rule : [rule.allowed_origins, rule.allowed_methods]] == [[toset(["https://app.example.com"]), toset(["GET", "HEAD"])]]
    error_message = "The web app reads the bucket and writes through the API."
  }
}

run "without_origins_there_is_no_cors_rule" {
  assert {
    condition     = length(aws_s3_bucket_cors_configuration.this) == 0
    error_message = "S3 refuses an empty configuration."
  }
}

run "changes_are_heard_only_while_a_run_listens" {
  assert {
    condition     = aws_cloudwatch_event_rule.changes.state == "DISABLED" && aws_s3_bucket_notification.this.eventbridge
    error_message = "S3 tells EventBridge; the rule waits for a run."
  }

  assert {
    condition = jsondecode(aws_cloudwatch_event_rule.changes.event_pattern) == {
      source      = ["aws.s3"]
      detail-type = ["Object Created", "Object Deleted", "Object Tags Added", "Object Tags Deleted"]
      detail      = { bucket = { name = ["know-me-staging-media-green-123456789012"] } }
    }
    error_message = "Everything that changes an object of this bucket, and nothing else."
  }
}

run "only_the_rule_sends_into_the_queue" {
  assert {
    condition = jsonencode(jsondecode(aws_sqs_queue.changes.policy).Statement) == jsonencode([{
      Sid       = "ChangesOfTheBucket"
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = "arn:aws:sqs:us-east-1:123456789012:know-me-staging-media-green-changes"
      Condition = {
        ArnEquals    = { "aws:SourceArn" = "arn:aws:events:us-east-1:123456789012:rule/pretended" }
        StringEquals = { "aws:SourceAccount" = "123456789012" }
      }
    }])
    error_message = "Another rule's events would be taken for changes of the bucket."
  }

  assert {
    condition     = aws_sqs_queue.changes.sqs_managed_sse_enabled && aws_sqs_queue.changes.message_retention_seconds == 14 * 24 * 3600
    error_message = "Keys of files rest encrypted and wait as long as SQS can keep them."
  }
}

run "a_protected_bucket_refuses_to_go_with_anything_in_it" {
  assert {
    condition     = !aws_s3_bucket.this.force_destroy
    error_message = "Only an apply without protection may make it deletable."
  }
}

run "an_unprotected_bucket_goes_with_everything_in_it" {
  variables {
    deletion_protection = false
  }

  assert {
    condition     = aws_s3_bucket.this.force_destroy
    error_message = "A throw-away environment can be removed."
  }
}

mock_provider "aws" {
  source = "../../tests/aws"
}

variables {
  name                    = "know-me-staging"
  domain_name             = null
  certificate_arn         = null
  web_acl_arn             = null
  content_security_policy = "default-src 'self'"
  price_class             = "PriceClass_100"
  access_logs_bucket      = null
  noncurrent_version_days = 90
  deletion_protection     = true
}

run "nobody_reads_the_bucket_but_the_distribution" {
  assert {
    condition = jsonencode([for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement : statement if statement.Effect == "Allow"]) == jsonencode([{
      Sid       = "TheDistributionReads"
      Effect    = "Allow"
      Principal = { Service = "cloudfront.amazonaws.com" }
      Action    = "s3:GetObject"
      Resource  = "arn:aws:s3:::pretended/*"
      Condition = { StringEquals = { "aws:SourceArn" = "arn:aws:cloudfront::123456789012:distribution/EPRETENDED" } }
    }])
    error_message = "Only this distribution may read, and only files."
  }

  assert {
    condition     = alltrue([for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement : statement.Condition.Bool["aws:SecureTransport"] == "false" if statement.Effect == "Deny"])
    error_message = "Plain HTTP is refused."
  }

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.this.block_public_acls, aws_s3_bucket_public_access_block.this.ignore_public_acls,
      aws_s3_bucket_public_access_block.this.block_public_policy, aws_s3_bucket_public_access_block.this.restrict_public_buckets,
    ])
    error_message = "Nothing may open the bucket to everybody."
  }

  assert {
    condition     = aws_cloudfront_origin_access_control.this.signing_behavior == "always" && one(aws_cloudfront_distribution.this.origin).origin_access_control_id == aws_cloudfront_origin_access_control.this.id
    error_message = "The distribution signs what it asks the bucket for."
  }
}

run "files_rest_encrypted_and_can_be_taken_back" {
  assert {
    condition     = aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Enabled" && [for rule in aws_s3_bucket_server_side_encryption_configuration.this.rule : rule.apply_server_side_encryption_by_default[0].sse_algorithm] == ["AES256"]
    error_message = "Versioned and encrypted."
  }
}

run "every_path_that_is_no_file_is_answered_by_the_page" {
  assert {
    condition     = { for response in aws_cloudfront_distribution.this.custom_error_response : tostring(response.error_code) => "${response.response_code} ${response.response_page_path}" } == { "403" = "200 /index.html", "404" = "200 /index.html" }
    error_message = "The app finds its way by the path."
  }
}

run "pages_are_kept_for_minutes_and_hashed_files_for_a_year" {
  assert {
    condition     = aws_cloudfront_cache_policy.pages.max_ttl <= 300 && aws_cloudfront_cache_policy.pages.default_ttl <= 60
    error_message = "A release must be seen soon."
  }

  assert {
    condition     = aws_cloudfront_cache_policy.hashed_files.default_ttl == 365 * 24 * 3600
    error_message = "Files that never change need not be asked for again."
  }

  assert {
    condition     = { for behaviour in aws_cloudfront_distribution.this.ordered_cache_behavior : behaviour.path_pattern => behaviour.cache_policy_id } == { "/assets/*" = aws_cloudfront_cache_policy.hashed_files.id, "/static/*" = aws_cloudfront_cache_policy.hashed_files.id }
    error_message = "Files with a hash in their name are below assets/ and static/."
  }
}

run "browsers_are_told_to_be_careful" {
  assert {
    condition = alltrue([
      aws_cloudfront_response_headers_policy.this.security_headers_config[0].strict_transport_security[0].access_control_max_age_sec >= 31536000,
      aws_cloudfront_response_headers_policy.this.security_headers_config[0].content_security_policy[0].content_security_policy == "default-src 'self'",
      aws_cloudfront_response_headers_policy.this.security_headers_config[0].frame_options[0].frame_option == "DENY",
      aws_cloudfront_response_headers_policy.this.security_headers_config[0].referrer_policy[0].referrer_policy == "strict-origin-when-cross-origin",
      aws_cloudfront_response_headers_policy.this.security_headers_config[0].content_type_options[0].override,
    ])
    error_message = "HSTS, CSP, frame options, referrer policy and nosniff."
  }

  assert {
    condition     = alltrue([for behaviour in concat(aws_cloudfront_distribution.this.default_cache_behavior, aws_cloudfront_distribution.this.ordered_cache_behavior) : behaviour.response_headers_policy_id == aws_cloudfront_response_headers_policy.this.id && behaviour.viewer_protocol_policy == "redirect-to-https"])
    error_message = "On every answer, over HTTPS only."
  }
}

run "without_a_domain_cloudfronts_own_name_and_certificate_are_used" {
  assert {
    condition     = output.url == "https://pretended.cloudfront.net" && length(aws_cloudfront_distribution.this.aliases) == 0 && aws_cloudfront_distribution.this.viewer_certificate[0].cloudfront_default_certificate
    error_message = "The app must be reachable without a domain."
  }

  assert {
    condition     = length(aws_cloudfront_distribution.this.logging_config) == 0
    error_message = "Access logs are for those who name a bucket."
  }
}

run "with_a_domain_its_name_and_certificate_are_used" {
  variables {
    domain_name        = "app.staging.example.com"
    certificate_arn    = "arn:aws:acm:us-east-1:123456789012:certificate/1"
    web_acl_arn        = "arn:aws:wafv2:us-east-1:123456789012:global/webacl/know-me-staging-web/1"
    access_logs_bucket = "logs-of-staging"
  }

  assert {
    condition     = output.url == "https://app.staging.example.com" && aws_cloudfront_distribution.this.aliases == toset(["app.staging.example.com"])
    error_message = "The app answers under its name."
  }

  assert {
    condition     = aws_cloudfront_distribution.this.viewer_certificate[0].minimum_protocol_version == "TLSv1.2_2021" && aws_cloudfront_distribution.this.viewer_certificate[0].acm_certificate_arn == var.certificate_arn
    error_message = "With its certificate and no old TLS."
  }

  assert {
    condition     = aws_cloudfront_distribution.this.web_acl_id == var.web_acl_arn && aws_cloudfront_distribution.this.logging_config[0].bucket == "logs-of-staging.s3.amazonaws.com"
    error_message = "Behind the firewall, with access logs."
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

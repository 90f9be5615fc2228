# What is refused before anything is planned. See environment.tftest.hcl for tests/environment.

mock_provider "aws" {
  source = "./tests/aws"
}

mock_provider "aws" {
  alias  = "global"
  source = "./tests/aws"
}

variables {
  environment            = "default"
  artifacts_bucket       = "know-me-default-artifacts-123456789012"
  notification_topic_arn = "arn:aws:sns:us-east-1:123456789012:know-me-default-notifications"
  database_jobs_source   = "know-me-default-artifacts-123456789012/bundle.zip"
  api_image              = "know-me-api:1"
  generations = {
    database = { active = "blue", all = { blue = {} } }
  }
}

run "an_environment_name_with_capitals_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    environment = "Staging"
  }

  expect_failures = [var.environment]
}

run "an_environment_name_with_two_hyphens_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    environment = "a--b"
  }

  expect_failures = [var.environment]
}

run "an_environment_that_is_not_the_workspace_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    environment = "staging"
  }

  expect_failures = [var.environment]
}

run "an_active_generation_that_does_not_exist_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    generations = { database = { active = "green", all = { blue = {} } } }
  }

  expect_failures = [var.generations]
}

run "a_generation_name_with_a_space_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    generations = { database = { active = "blue", all = { blue = {}, "light green" = {} } } }
  }

  expect_failures = [var.generations]
}

run "a_generation_name_of_seventeen_letters_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    generations = { database = { active = "blue", all = { blue = {}, aaaaaaaaaaaaaaaaa = {} } } }
  }

  expect_failures = [var.generations]
}

run "an_engine_version_in_words_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    generations = { database = { active = "blue", all = { blue = { engine_version = "newest" } } } }
  }

  expect_failures = [var.generations]
}

run "an_instance_class_of_ec2_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    generations = { database = { active = "blue", all = { blue = { instance_class = "t4g.medium" } } } }
  }

  expect_failures = [var.generations]
}

run "storage_below_the_smallest_of_rds_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    generations = { database = { active = "blue", all = { blue = { allocated_storage = 5 } } } }
  }

  expect_failures = [var.generations]
}

run "a_bucket_url_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    artifacts_bucket = "s3://bucket"
  }

  expect_failures = [var.artifacts_bucket]
}

run "a_source_with_a_scheme_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    database_jobs_source = "s3://bucket/key.zip"
  }

  expect_failures = [var.database_jobs_source]
}

run "a_topic_name_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    notification_topic_arn = "know-me-default-notifications"
  }

  expect_failures = [var.notification_topic_arn]
}

run "no_backups_are_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    database_backup_retention_days = 0
  }

  expect_failures = [var.database_backup_retention_days]
}

run "one_zone_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    zone_count = 1
  }

  expect_failures = [var.zone_count]
}

run "a_range_too_small_for_subnets_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    vpc_cidr = "10.0.0.0/24"
  }

  expect_failures = [var.vpc_cidr]
}

run "more_than_one_nat_gateway_but_not_one_per_zone_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    nat_gateways = "two"
  }

  expect_failures = [var.nat_gateways]
}

run "a_retention_that_cloudwatch_does_not_know_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    log_retention_days = 31
  }

  expect_failures = [var.log_retention_days]
}

run "a_certificate_without_a_name_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    api_certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/1"
  }

  expect_failures = [var.api_domain_name]
}

run "overriding_the_database_of_the_active_generation_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    api_environment = { DATABASE_HOST = "elsewhere" }
  }

  expect_failures = [var.api_environment]
}

run "fewer_tasks_at_most_than_at_least_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    api_maximum_tasks = 0
  }

  expect_failures = [var.api_maximum_tasks]
}

run "no_media_generation_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    generations = { database = { active = "blue", all = { blue = {} } }, media = { active = "blue", all = {} } }
  }

  expect_failures = [var.generations]
}

run "an_active_media_generation_that_does_not_exist_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    generations = { database = { active = "blue", all = { blue = {} } }, media = { active = "green", all = { blue = {} } } }
  }

  expect_failures = [var.generations]
}

run "an_active_media_generation_that_is_unfinished_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    generations = { database = { active = "blue", all = { blue = {} } }, media = { active = "blue", all = { blue = { unfinished = true } } } }
  }

  expect_failures = [var.generations]
}

run "a_media_generation_name_with_two_hyphens_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    generations = { database = { active = "blue", all = { blue = {} } }, media = { active = "blue", all = { blue = {}, a--b = {} } } }
  }

  expect_failures = [var.generations]
}

run "overriding_the_bucket_of_the_active_generation_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    api_environment = { MEDIA_BUCKET = "elsewhere" }
  }

  expect_failures = [var.api_environment]
}

run "an_encryption_that_s3_does_not_know_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    media_encryption = "AES128"
  }

  expect_failures = [var.media_encryption]
}

run "public_files_under_the_environments_key_are_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    media_encryption = "aws:kms"
  }

  expect_failures = [var.media_encryption]
}

run "an_origin_with_a_path_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    media_cors_origins = ["https://app.example.com/"]
  }

  expect_failures = [var.media_cors_origins]
}

run "an_origin_without_a_scheme_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    media_cors_origins = ["app.example.com"]
  }

  expect_failures = [var.media_cors_origins]
}

run "deleting_old_versions_at_once_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    media_noncurrent_version_days = 0
  }

  expect_failures = [var.media_noncurrent_version_days]
}

run "a_file_column_of_a_table_without_a_schema_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    media_file_columns = [{ table = "know_me_photo", column = "file", prefix = "media/" }]
  }

  expect_failures = [var.media_file_columns]
}

run "a_prefix_that_does_not_end_with_a_slash_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    media_file_columns = [{ table = "public.know_me_photo", column = "file", prefix = "media" }]
  }

  expect_failures = [var.media_file_columns]
}

run "a_file_column_that_is_named_twice_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    media_file_columns = [
      { table = "public.know_me_photo", column = "file", prefix = "media/" },
      { table = "public.know_me_photo", column = "file", prefix = "" },
    ]
  }

  expect_failures = [var.media_file_columns]
}

run "a_compute_type_that_codebuild_does_not_know_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    media_jobs_compute_type = "BUILD_GENERAL1_TINY"
  }

  expect_failures = [var.media_jobs_compute_type]
}

run "test_traffic_on_the_port_of_production_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    api_listener_port = 8080
  }

  expect_failures = [var.api_test_listener_port]
}

run "a_port_that_is_none_for_test_traffic_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    api_test_listener_port = 70000
  }

  expect_failures = [var.api_test_listener_port]
}

run "test_traffic_from_what_is_no_range_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    api_test_allowed_cidr_blocks = ["everybody"]
  }

  expect_failures = [var.api_test_allowed_cidr_blocks]
}

run "no_request_per_task_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    api_requests_per_task = 0
  }

  expect_failures = [var.api_requests_per_task]
}

run "a_repository_without_an_owner_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    delivery = { api = { repository = "api" } }
  }

  expect_failures = [var.delivery]
}

run "a_connection_that_is_no_arn_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    delivery = { api = { repository = "know-me/api" }, connection_arn = "github" }
  }

  expect_failures = [var.delivery]
}

run "a_delivery_that_keeps_no_image_to_go_back_to_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    delivery = { api = { repository = "know-me/api" }, images_kept = 1 }
  }

  expect_failures = [var.delivery]
}

run "more_paths_than_a_trigger_takes_are_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    delivery = { api = { repository = "know-me/api", paths = ["1", "2", "3", "4", "5", "6", "7", "8", "9"] } }
  }

  expect_failures = [var.delivery]
}

run "a_termination_wait_of_half_a_minute_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    release_termination_wait_minutes = 0.5
  }

  expect_failures = [var.release_termination_wait_minutes]
}

run "more_alarms_than_codedeploy_watches_are_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    release_alarm_names = ["1", "2", "3", "4", "5", "6", "7", "8"]
  }

  expect_failures = [var.release_alarm_names]
}

run "background_jobs_every_now_and_then_are_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    background_jobs_schedule = "every 15 minutes"
  }

  expect_failures = [var.background_jobs_schedule]
}

run "a_traffic_shift_with_blanks_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    release_traffic_shift = "all at once"
  }

  expect_failures = [var.release_traffic_shift]
}

run "a_domain_in_capitals_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    domain_name = "Example.com"
  }

  expect_failures = [var.domain_name]
}

run "a_domain_too_long_for_a_certificate_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    domain_name = "a-very-long-domain-name-that-nobody-would-remember.example.com"
  }

  expect_failures = [var.domain_name]
}

run "a_certificate_besides_that_of_the_domain_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    domain_name         = "example.com"
    api_certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/1"
    api_domain_name     = "api.example.com"
  }

  expect_failures = [var.api_certificate_arn]
}

run "a_price_class_that_cloudfront_does_not_know_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    web_price_class = "PriceClass_50"
  }

  expect_failures = [var.web_price_class]
}

run "a_content_security_policy_without_a_default_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    web_content_security_policy = "img-src *"
  }

  expect_failures = [var.web_content_security_policy]
}

run "a_url_for_access_logs_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    web_access_logs_bucket = "s3://logs"
  }

  expect_failures = [var.web_access_logs_bucket]
}

run "deleting_files_of_the_release_before_at_once_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    web_noncurrent_version_days = 0
  }

  expect_failures = [var.web_noncurrent_version_days]
}

run "a_limit_below_that_of_waf_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    firewall_rate_limit = 5
  }

  expect_failures = [var.firewall_rate_limit]
}

run "a_host_with_a_port_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    firewall_hosts = ["api.example.com:8000"]
  }

  expect_failures = [var.firewall_hosts]
}

run "a_share_above_all_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    alarm_thresholds = { database_cpu_percent = 120 }
  }

  expect_failures = [var.alarm_thresholds]
}

run "a_secret_that_overrides_the_database_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    api_secrets = { DATABASE_PASSWORD = "other" }
  }

  expect_failures = [var.api_secrets]
}

run "a_secret_and_a_setting_of_one_name_are_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    api_secrets     = { APPLE_SHARED_SECRET = "apple-shared-secret" }
    api_environment = { APPLE_SHARED_SECRET = "visible" }
  }

  expect_failures = [var.api_secrets]
}

run "two_variables_of_one_secret_are_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    api_secrets = { ONE = "same", TWO = "same" }
  }

  expect_failures = [var.api_secrets]
}

run "sentry_without_a_key_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    sentry_dsn = "https://sentry.example.com/1"
  }

  expect_failures = [var.sentry_dsn]
}

run "a_product_with_a_space_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    apple_product_codes = ["two words"]
  }

  expect_failures = [var.apple_product_codes]
}

run "a_receipt_server_that_apple_does_not_have_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    apple_receipt_validation = "test"
  }

  expect_failures = [var.apple_receipt_validation]
}

run "mail_without_an_identity_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    email_sender = "no-reply@example.com"
  }

  expect_failures = [var.email_identity_arn]
}

run "mail_in_every_name_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    email_sender       = "no-reply@example.com"
    email_identity_arn = "arn:aws:ses:us-east-1:123456789012:identity/*"
  }

  expect_failures = [var.email_identity_arn]
}

run "a_name_besides_that_of_the_domain_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    domain_name     = "example.com"
    api_domain_name = "api.example.com"
  }

  expect_failures = [var.api_domain_name]
}

run "no_host_for_django_is_refused" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    django_allowed_hosts = []
  }

  expect_failures = [var.django_allowed_hosts]
}

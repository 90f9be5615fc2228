# What is refused before anything is planned. See environment.tftest.hcl for tests/environment.

mock_provider "aws" {
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

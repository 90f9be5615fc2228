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

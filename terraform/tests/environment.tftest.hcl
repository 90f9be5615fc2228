# Rules of a whole environment. tests/environment is the root module itself, file by file, with the one module exchanged
# that a pretended provider cannot run. The workspace of a test is "default", so that is the environment's name.

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

run "a_new_environment" {
  module {
    source = "./tests/environment"
  }

  assert {
    condition     = keys(module.database) == ["blue"]
    error_message = "An environment has the generations of its document and no others."
  }

  assert {
    condition     = output.api_url == "http://pretended.us-east-1.elb.amazonaws.com"
    error_message = "Without a certificate the API answers on the load balancer's own name."
  }

  assert {
    condition     = keys(module.database["blue"].manifest) == keys({ allocated_storage = 0, application_role = 0, application_secret_arn = 0, application_secret_label = 0, database_name = 0, endpoint = 0, engine_version = 0, generation = 0, instance_id = 0, master_secret_arn = 0, port = 0, security_group_ids = 0, subnet_ids = 0 })
    error_message = "A generation in the manifest has the contract's fields."
  }

  assert {
    condition     = keys(module.media) == ["blue"] && output.media_bucket == "know-me-default-media-blue-123456789012"
    error_message = "A document from before there was media means one bucket."
  }

  assert {
    condition     = keys(module.media["blue"].manifest) == keys({ bucket = 0, changes_queue_url = 0, changes_rule = 0, generation = 0 })
    error_message = "A media generation in the manifest has the contract's fields."
  }
}

run "a_candidate_beside_the_active_media" {
  module {
    source = "./tests/environment"
  }

  variables {
    generations = {
      database = { active = "blue", all = { blue = {} } }
      media    = { active = "blue", all = { blue = {}, green = { unfinished = true } } }
    }
  }

  assert {
    condition     = keys(module.media) == ["blue", "green"] && output.media_bucket == "know-me-default-media-blue-123456789012"
    error_message = "The app stays on the active bucket while the candidate is filled."
  }
}

run "media_with_the_environments_key" {
  command = plan

  module {
    source = "./tests/environment"
  }

  variables {
    media_encryption    = "aws:kms"
    media_public_static = false
  }

  assert {
    condition     = output.media_bucket == "know-me-default-media-blue-123456789012"
    error_message = "Encryption with the environment's key is possible when nothing is public."
  }
}

run "generations_share_the_secret_that_tasks_read" {
  module {
    source = "./tests/environment"
  }

  variables {
    generations = {
      database = { active = "blue", all = { blue = {}, green = {} } }
    }
  }

  assert {
    condition     = { for name, database in module.database : name => [database.manifest.application_secret_arn, database.manifest.application_secret_label] } == { for name in ["blue", "green"] : name => [module.stores.application_secret_arn, name] }
    error_message = "A generation is a labelled version of the environment's one secret."
  }
}

run "an_environment_without_repositories_has_releases_but_no_pipeline" {
  module {
    source = "./tests/environment"
  }

  assert {
    condition     = length(module.delivery) == 0 && module.deployment.deployment == { application = "know-me-default-api", deployment_group = "know-me-default-api" }
    error_message = "A release can be deployed by hand."
  }

  assert {
    condition     = module.background_jobs.rule == { name = "know-me-default-background-jobs", event_bus_name = "default" }
    error_message = "Background jobs run whether there is a pipeline or not."
  }
}

run "an_environment_with_repositories_has_a_pipeline" {
  module {
    source = "./tests/environment"
  }

  variables {
    delivery = { api = { repository = "know-me/api" }, web = { repository = "know-me/web" } }
  }

  assert {
    condition     = one(module.delivery[*].pipeline) == { name = "know-me-default", stages = ["Build", "Release"] }
    error_message = "The pipeline is called like the environment."
  }

  assert {
    condition     = output.api_repository_url != null
    error_message = "The image has a repository."
  }

  assert {
    condition     = length(module.watching.service_alarm_names) > 0 && length(module.watching.service_alarm_names) <= 3
    error_message = "What clients see stops a release; CodeDeploy watches ten alarms, and seven are for release_alarm_names."
  }
}

run "without_a_domain_an_environment_has_the_names_that_aws_gives" {
  module {
    source = "./tests/environment"
  }

  assert {
    condition     = output.web_url == "https://pretended.cloudfront.net" && module.dns.api_name == null
    error_message = "A throw-away environment needs no domain."
  }

  assert {
    condition     = length(module.firewall) == 1 && length(module.web_firewall) == 0
    error_message = "The API is behind a firewall unless somebody takes it away, the web app's files are not."
  }
}

run "a_domain_gives_names_and_https" {
  module {
    source = "./tests/environment"
  }

  variables {
    domain_name  = "example.com"
    web_firewall = true
  }

  assert {
    condition     = output.api_url == "https://api.default.example.com" && output.web_url == "https://app.default.example.com"
    error_message = "Names follow from environment and domain."
  }

  assert {
    condition     = local.api_hosts == ["api.default.example.com", "pretended.us-east-1.elb.amazonaws.com"]
    error_message = "The firewall lets the API's own names through."
  }

  assert {
    condition     = strcontains(local.content_security_policy, "connect-src 'self' https://api.default.example.com;")
    error_message = "Pages may call the API and nobody else."
  }
}

run "the_firewalls_can_be_taken_away" {
  module {
    source = "./tests/environment"
  }

  variables {
    firewall = false
  }

  assert {
    condition     = length(module.firewall) == 0
    error_message = "A variable is enough."
  }
}

run "the_app_knows_what_it_is_called" {
  module {
    source = "./tests/environment"
  }

  variables {
    sentry_dsn         = "https://key@sentry.example.com/1"
    email_sender       = "Know Me <no-reply@example.com>"
    email_identity_arn = "arn:aws:ses:us-east-1:123456789012:identity/example.com"
    api_secrets        = { APPLE_SHARED_SECRET = "apple-shared-secret" }
  }

  assert {
    condition = local.api_settings == {
      DJANGO_ALLOWED_HOSTS = "*"
      DJANGO_HTTPS         = "false"
      EMAIL_SENDER         = "Know Me <no-reply@example.com>"
      SENTRY_DSN           = "https://key@sentry.example.com/1"
      SENTRY_ENVIRONMENT   = "default"
      WEB_APP_URL          = "https://pretended.cloudfront.net"
    }
    error_message = "What is not set is left out."
  }
}

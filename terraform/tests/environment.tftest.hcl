# Rules of a whole environment. tests/environment is the root module itself, file by file, with the one module exchanged
# that a pretended provider cannot run. The workspace of a test is "default", so that is the environment's name.

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
    condition     = keys(module.database["blue"].manifest) == keys({ allocated_storage = 0, application_role = 0, application_secret_arn = 0, database_name = 0, endpoint = 0, engine_version = 0, generation = 0, instance_id = 0, master_secret_arn = 0, port = 0, security_group_ids = 0, subnet_ids = 0 })
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

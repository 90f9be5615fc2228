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
}

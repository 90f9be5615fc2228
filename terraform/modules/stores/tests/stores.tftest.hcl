mock_provider "aws" {
  source = "../../tests/aws"
}

variables {
  environment  = "staging"
  media_bucket = "know-me-staging-media-green-123456789012"
  kms_key_arn  = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
}

run "the_names_stay_whichever_generation_is_active" {
  command = plan

  assert {
    condition     = aws_secretsmanager_secret.application.name == "know-me/staging/database/application"
    error_message = "The secret is the environment's: no generation is in its name."
  }

  assert {
    condition     = aws_ssm_parameter.media_bucket.name == "/know-me/staging/media/bucket"
    error_message = "The parameter is the environment's: no generation is in its name."
  }
}

run "the_parameter_names_the_active_bucket" {
  command = plan

  assert {
    condition     = aws_ssm_parameter.media_bucket.insecure_value == "know-me-staging-media-green-123456789012" && aws_ssm_parameter.media_bucket.type == "String"
    error_message = "Tasks read the bucket's name from it."
  }
}

run "the_secret_is_under_the_environments_key" {
  command = plan

  assert {
    condition     = aws_secretsmanager_secret.application.kms_key_id == var.kms_key_arn
    error_message = "Passwords are encrypted with the environment's key."
  }
}

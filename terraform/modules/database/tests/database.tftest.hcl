mock_provider "aws" {
  source = "../../tests/aws"
}

variables {
  environment               = "staging"
  generation                = "blue"
  engine_version            = "17.4"
  instance_class            = "db.t4g.medium"
  allocated_storage         = 20
  database_name             = "know_me"
  vpc_id                    = "vpc-1"
  subnet_ids                = ["subnet-1", "subnet-2"]
  client_security_group_ids = { api = "sg-api", database-jobs = "sg-jobs" }
  application_secret_arn    = "arn:aws:secretsmanager:us-east-1:123456789012:secret:application-AbCdEf"
  kms_key_arn               = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  ca_certificate            = null
  multi_az                  = false
  backup_retention_days     = 7
  deletion_protection       = true
  skip_final_snapshot       = false
  apply_immediately         = true
  log_retention_days        = 30
}

run "a_database_is_safe" {
  command = plan

  assert {
    condition     = contains([for parameter in aws_db_parameter_group.this.parameter : "${parameter.name}=${parameter.value}"], "rds.force_ssl=1")
    error_message = "TLS must be forced."
  }

  assert {
    condition     = aws_db_instance.this.storage_encrypted && aws_db_instance.this.kms_key_id == var.kms_key_arn
    error_message = "Storage must be encrypted with the environment's key."
  }

  assert {
    condition     = aws_db_instance.this.manage_master_user_password && aws_db_instance.this.master_user_secret_kms_key_id == var.kms_key_arn
    error_message = "RDS must manage the master password, in a secret under the environment's key."
  }

  assert {
    condition     = aws_db_instance.this.password == null && aws_db_instance.this.password_wo == null
    error_message = "Terraform must not know a password."
  }

  assert {
    condition     = !aws_db_instance.this.publicly_accessible
    error_message = "A database must not be reachable from the internet."
  }

  assert {
    condition     = aws_db_instance.this.deletion_protection && !aws_db_instance.this.skip_final_snapshot && aws_db_instance.this.copy_tags_to_snapshot
    error_message = "A database must not disappear by mistake or without a snapshot."
  }

  assert {
    condition     = aws_db_instance.this.performance_insights_enabled && length(aws_db_instance.this.enabled_cloudwatch_logs_exports) == 2
    error_message = "A database must show its load and export its logs."
  }
}

run "only_named_clients_reach_a_database" {
  command = plan

  assert {
    condition     = { for client, rule in aws_vpc_security_group_ingress_rule.client : client => rule.referenced_security_group_id } == { api = "sg-api", database-jobs = "sg-jobs" }
    error_message = "Only the API and the database jobs may connect."
  }

  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.client : rule.cidr_ipv4 == null && rule.from_port == 5432 && rule.to_port == 5432])
    error_message = "Clients are let in by their security group and to PostgreSQL's port only."
  }
}

run "names_follow_from_environment_and_generation" {
  command = plan

  assert {
    condition     = aws_db_instance.this.identifier == "know-me-staging-blue"
    error_message = "The instance is named after environment and generation."
  }

  assert {
    condition     = aws_db_parameter_group.this.family == "postgres17" && aws_db_parameter_group.this.name == "know-me-staging-blue-postgres17"
    error_message = "The parameter group is of the engine's major version."
  }
}

run "a_generation_is_a_labelled_version_of_the_environments_secret" {
  assert {
    condition     = output.manifest.application_secret_arn == var.application_secret_arn && output.manifest.application_secret_label == "blue"
    error_message = "The manifest says where the generation's credentials are."
  }
}

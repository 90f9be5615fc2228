data "aws_caller_identity" "current" {}
data "aws_region" "current" {}
data "aws_partition" "current" {}

locals {
  name       = "know-me-${var.environment}"
  account_id = data.aws_caller_identity.current.account_id
  region     = data.aws_region.current.name
  partition  = data.aws_partition.current.partition

  # Who writes into a media bucket that the app does not use: S3 Batch Operations, the jobs, and the runbooks' own steps.
  migration_principals = [
    module.media_jobs.copy_role_arn,
    module.media_jobs.jobs_role_arn,
    "arn:${local.partition}:iam::${local.account_id}:role/know-me/${var.environment}/orchestrator/*",
  ]
  media_kms_key_arn = var.media_encryption == "aws:kms" ? aws_kms_key.environment.arn : null
}

# One key for everything of the environment that rests: database storage, secrets, logs; media when asked for.
resource "aws_kms_key" "environment" {
  description             = "Data at rest of ${local.name}"
  enable_key_rotation     = true
  deletion_window_in_days = 30

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "PoliciesOfTheAccountDecide"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local.partition}:iam::${local.account_id}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
        Sid       = "LogsOfTheEnvironment"
        Effect    = "Allow"
        Principal = { Service = "logs.${local.region}.amazonaws.com" }
        Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
        Resource  = "*"
        Condition = {
          ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "arn:${local.partition}:logs:${local.region}:${local.account_id}:log-group:*" }
        }
      },
    ]
  })
}

resource "aws_kms_alias" "environment" {
  name          = "alias/${local.name}"
  target_key_id = aws_kms_key.environment.key_id
}

module "network" {
  source = "./modules/network"

  name               = local.name
  vpc_cidr           = var.vpc_cidr
  zone_count         = var.zone_count
  nat_gateways       = var.nat_gateways
  flow_logs          = var.flow_logs
  log_retention_days = var.log_retention_days
  kms_key_arn        = aws_kms_key.environment.arn
}

module "stores" {
  source = "./modules/stores"

  environment  = var.environment
  media_bucket = module.media[var.generations.media.active].bucket
  kms_key_arn  = aws_kms_key.environment.arn
}

module "database" {
  source   = "./modules/database"
  for_each = var.generations.database.all

  environment = var.environment
  generation  = each.key

  engine_version    = coalesce(each.value.engine_version, var.database_engine_version)
  instance_class    = coalesce(each.value.instance_class, var.database_instance_class)
  allocated_storage = coalesce(each.value.allocated_storage, var.database_allocated_storage)
  database_name     = var.database_name

  vpc_id     = module.network.vpc_id
  subnet_ids = module.network.database_subnet_ids
  client_security_group_ids = {
    api           = module.api.security_group_id
    database-jobs = module.database_jobs.security_group_id
  }

  application_secret_arn = module.stores.application_secret_arn

  kms_key_arn           = aws_kms_key.environment.arn
  ca_certificate        = var.database_ca_certificate
  multi_az              = var.database_multi_az
  backup_retention_days = var.database_backup_retention_days
  deletion_protection   = var.deletion_protection
  skip_final_snapshot   = var.database_skip_final_snapshot
  apply_immediately     = var.database_apply_immediately
  log_retention_days    = var.log_retention_days
}

# Environments made before the application secret became the environment's had one for each generation. Nothing
# reads those any more; Terraform forgets them, for the guard lets nothing go that holds data. Delete them by hand.
removed {
  from = module.database.aws_secretsmanager_secret.application

  lifecycle {
    destroy = false
  }
}

module "media" {
  source   = "./modules/media"
  for_each = var.generations.media.all

  environment = var.environment
  generation  = each.key
  active      = each.key == var.generations.media.active

  migration_principals    = local.migration_principals
  encryption              = var.media_encryption
  kms_key_arn             = aws_kms_key.environment.arn
  public_static           = var.media_public_static
  cors_origins            = var.media_cors_origins
  noncurrent_version_days = var.media_noncurrent_version_days
  deletion_protection     = var.deletion_protection
}

module "django_key" {
  source = "./modules/generated-secret"

  name          = "know-me/${var.environment}/api/django-secret-key"
  description   = "Django's SECRET_KEY. A new value ends every session"
  length        = 50
  kms_key_arn   = aws_kms_key.environment.arn
  recovery_days = var.secret_recovery_days
}

module "api" {
  source = "./modules/api"

  name                   = local.name
  environment            = var.environment
  vpc_id                 = module.network.vpc_id
  public_subnet_ids      = module.network.public_subnet_ids
  application_subnet_ids = module.network.application_subnet_ids

  image                 = var.api_image
  image_repository_arns = compact([var.api_image_repository_arn, local.delivered_repository_arn])
  container_port        = var.api_port
  cpu                   = var.api_cpu
  memory                = var.api_memory
  minimum_tasks         = var.api_minimum_tasks
  maximum_tasks         = var.api_maximum_tasks
  requests_per_task     = var.api_requests_per_task
  environment_variables = merge(local.api_settings, var.api_environment)
  secrets               = var.api_secrets
  secret_recovery_days  = var.secret_recovery_days
  email_identity_arn    = var.email_identity_arn

  application_secret_arn          = module.stores.application_secret_arn
  database_certificate_bundle_url = var.database_certificate_bundle_url

  media_bucket_parameter_arn = module.stores.media_bucket_parameter_arn
  media_bucket_arns          = { for generation, media in module.media : generation => media.bucket_arn }
  media_kms_key_arn          = local.media_kms_key_arn

  listener_port            = var.api_listener_port
  test_listener_port       = var.api_test_listener_port
  https                    = local.https
  certificate_arn          = var.domain_name == null ? var.api_certificate_arn : module.dns.api_certificate_arn
  domain_name              = local.api_name
  allowed_cidr_blocks      = var.api_allowed_cidr_blocks
  test_allowed_cidr_blocks = var.api_test_allowed_cidr_blocks
  access_logs_bucket       = var.api_access_logs_bucket

  django_key_secret_arn = module.django_key.arn
  deletion_protection   = var.deletion_protection
  log_retention_days    = var.log_retention_days
  kms_key_arn           = aws_kms_key.environment.arn
}

module "database_jobs" {
  source = "./modules/database-jobs"

  name             = local.name
  environment      = var.environment
  source_location  = var.database_jobs_source
  artifacts_bucket = var.artifacts_bucket

  vpc_id     = module.network.vpc_id
  subnet_ids = module.network.application_subnet_ids
  databases = {
    for generation, database in module.database : generation => { master_secret_arn = database.master_secret_arn }
  }
  application_secret_arn = module.stores.application_secret_arn

  image                  = var.database_jobs_image
  compute_type           = var.database_jobs_compute_type
  certificate_bundle_url = var.database_certificate_bundle_url
  log_retention_days     = var.log_retention_days
  kms_key_arn            = aws_kms_key.environment.arn
}

module "media_jobs" {
  source = "./modules/media-jobs"

  name             = local.name
  environment      = var.environment
  source_location  = var.database_jobs_source
  artifacts_bucket = var.artifacts_bucket

  media = {
    for generation, media in module.media : generation => {
      bucket_arn        = media.bucket_arn
      changes_queue_arn = media.changes_queue_arn
      active            = generation == var.generations.media.active
    }
  }
  media_kms_key_arn = local.media_kms_key_arn

  image              = var.media_jobs_image
  compute_type       = var.media_jobs_compute_type
  log_retention_days = var.log_retention_days
  kms_key_arn        = aws_kms_key.environment.arn
}

module "manifest" {
  source = "./modules/manifest"

  environment = var.environment
  document = {
    cluster          = module.api.cluster
    services         = [module.api.service]
    scalable_targets = [module.api.scalable_target]
    rules            = [module.background_jobs.rule]
    schedules        = []
    pipelines        = module.delivery[*].pipeline
    deployments      = [module.deployment.deployment]
    database = {
      active      = var.generations.database.active
      generations = { for generation, database in module.database : generation => database.manifest }
    }
    media = {
      active               = var.generations.media.active
      generations          = { for generation, media in module.media : generation => media.manifest }
      copy_role_arn        = module.media_jobs.copy_role_arn
      migration_principals = local.migration_principals
      file_columns         = var.media_file_columns
    }
    builds           = { database_jobs = module.database_jobs.project_name, media_jobs = module.media_jobs.project_name }
    health_check_url = module.api.health_check_url
    web_url          = module.web.url
    alarm_arns       = module.watching.alarm_arns
    topic_arns       = [var.notification_topic_arn]
  }
}

# How releases of the API and the web app come about, and what runs on the image that was released.

locals {
  # Functions and state machines of the orchestrator's stack, which is there before Terraform runs.
  schema_migration_hook = "${local.name}-start-schema-migration"
  background_jobs_arn   = "arn:${local.partition}:states:${local.region}:${local.account_id}:stateMachine:${local.name}-background-jobs"

  # By name: the service needs it, and the delivery needs the service.
  delivered_repository_arn = var.delivery == null ? null : "arn:${local.partition}:ecr:${local.region}:${local.account_id}:repository/${local.name}-api"
}

module "background_jobs" {
  source = "./modules/background-jobs"

  name              = local.name
  schedule          = var.background_jobs_schedule
  state_machine_arn = local.background_jobs_arn
}

module "deployment" {
  source = "./modules/deployment"

  name                     = local.name
  cluster_name             = module.api.cluster.name
  service_name             = module.api.service.name
  target_group_names       = module.api.target_groups[*].name
  production_listener_arn  = module.api.listeners.production
  test_listener_arn        = module.api.listeners.test
  task_role_arn            = module.api.roles.task
  execution_role_arn       = module.api.roles.execution
  hook_function            = local.schema_migration_hook
  deployment_config_name   = var.release_traffic_shift
  termination_wait_minutes = var.release_termination_wait_minutes
  alarm_names              = concat(module.watching.service_alarm_names, var.release_alarm_names)
}

module "delivery" {
  source = "./modules/delivery"
  count  = var.delivery == null ? 0 : 1

  name                = local.name
  connection_arn      = var.delivery.connection_arn
  connection_provider = var.delivery.connection_provider
  api_repository      = var.delivery.api.repository
  api_branch          = var.delivery.api.branch
  api_paths           = var.delivery.api.paths
  tools_location      = var.database_jobs_source

  web = var.delivery.web == null ? null : {
    repository       = var.delivery.web.repository
    branch           = var.delivery.web.branch
    paths            = var.delivery.web.paths
    api_url          = module.api.url
    api_url_variable = var.delivery.web.api_url_variable
    output_directory = var.delivery.web.output_directory
    bucket           = module.web.bucket
    bucket_arn       = module.web.bucket_arn
    distribution_id  = module.web.distribution_id
    distribution_arn = module.web.distribution_arn
  }

  deployment                     = module.deployment.deployment
  deployment_config_name         = var.release_traffic_shift
  hook_function                  = local.schema_migration_hook
  task_definition_parameter_name = "/know-me/${var.environment}/api/task-definition"
  task_definition_family         = module.api.service.task_definition_family
  container_name                 = module.api.service.container
  container_port                 = var.api_port
  subnet_ids                     = module.network.application_subnet_ids
  security_group_ids             = [module.api.security_group_id]
  task_role_arn                  = module.api.roles.task
  execution_role_arn             = module.api.roles.execution

  build_image         = var.delivery.build_image
  build_compute_type  = var.delivery.build_compute_type
  images_kept         = var.delivery.images_kept
  deletion_protection = var.deletion_protection
  log_retention_days  = var.log_retention_days
  kms_key_arn         = aws_kms_key.environment.arn
}

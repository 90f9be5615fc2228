variable "environment" {
  description = "Name of the environment."
  type        = string
}

variable "document" {
  description = "What exists in the environment, as the runbooks read it (docs/develop/contracts.md, section 2)."
  type = object({
    cluster          = object({ name = string, arn = string })
    services         = list(object({ name = string, cluster = string, container = string, task_definition_family = string }))
    scalable_targets = list(object({ service_namespace = string, resource_id = string, scalable_dimension = string }))
    rules            = list(object({ name = string, event_bus_name = string }))
    schedules        = list(object({ name = string, group_name = string }))
    pipelines        = list(object({ name = string, stages = list(string) }))
    deployments      = list(object({ application = string, deployment_group = string }))
    database = object({
      active = string
      generations = map(object({
        generation               = string
        instance_id              = string
        endpoint                 = string
        port                     = number
        database_name            = string
        engine_version           = string
        allocated_storage        = number
        master_secret_arn        = string
        application_secret_arn   = string
        application_secret_label = string
        application_role         = string
        subnet_ids               = list(string)
        security_group_ids       = list(string)
      }))
    })
    media = object({
      active = string
      generations = map(object({
        generation        = string
        bucket            = string
        changes_rule      = string
        changes_queue_url = string
      }))
      copy_role_arn        = string
      migration_principals = list(string)
      file_columns         = list(object({ table = string, column = string, prefix = string }))
    })
    builds           = object({ database_jobs = string, media_jobs = string })
    health_check_url = string
    web_url          = string
    alarm_arns       = list(string)
    topic_arns       = list(string)
  })
}

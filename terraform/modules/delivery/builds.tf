locals {
  # What each build is told. The buildspecs are in the tools' bundle, like the jobs that they run.
  builds = merge(
    {
      api-image = {
        description = "Builds the API's image, and says how to release it"
        privileged  = true # docker
        role_arn    = aws_iam_role.api_image.arn
        variables = {
          REPOSITORY_URL            = aws_ecr_repository.api.repository_url
          TASK_DEFINITION_PARAMETER = var.task_definition_parameter_name
          CONTAINER                 = var.container_name
          CONTAINER_PORT            = tostring(var.container_port)
          SUBNETS                   = join(",", var.subnet_ids)
          SECURITY_GROUPS           = join(",", var.security_group_ids)
          HOOK                      = var.hook_function
        }
      }
    },
    { for name, web in local.web : "web" => {
      description = "Builds the web app"
      privileged  = false
      role_arn    = aws_iam_role.web[name].arn
      variables = {
        API_URL          = web.api_url
        API_URL_VARIABLE = web.api_url_variable
        OUTPUT_DIRECTORY = web.output_directory
      }
    } },
    { for name, web in local.web : "web-release" => {
      description = "Puts the web app into its bucket"
      privileged  = false
      role_arn    = aws_iam_role.web_release[name].arn
      variables = {
        WEB_BUCKET      = web.bucket
        DISTRIBUTION_ID = coalesce(web.distribution_id, "none")
      }
    } },
  )
}

resource "aws_cloudwatch_log_group" "build" {
  #checkov:skip=CKV_AWS_338:How long logs are kept is each environment's choice (log_retention_days); they name people, so not longer than they help

  for_each = local.builds

  name              = "/${var.name}/${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_codebuild_project" "this" {
  for_each = local.builds

  name           = "${var.name}-${each.key}"
  description    = each.value.description
  service_role   = each.value.role_arn
  build_timeout  = 60 # minutes
  queued_timeout = 60
  encryption_key = var.kms_key_arn

  source {
    type      = "CODEPIPELINE"
    buildspec = "codebuild/${each.key}.buildspec.yml"
  }

  artifacts {
    type = "CODEPIPELINE"
  }

  environment {
    type            = "LINUX_CONTAINER"
    image           = var.build_image
    compute_type    = var.build_compute_type
    privileged_mode = each.value.privileged

    dynamic "environment_variable" {
      for_each = each.value.variables

      content {
        name  = environment_variable.key
        value = environment_variable.value
      }
    }
  }

  logs_config {
    cloudwatch_logs {
      group_name = aws_cloudwatch_log_group.build[each.key].name
    }
  }
}

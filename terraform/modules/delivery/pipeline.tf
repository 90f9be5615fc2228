locals {
  sources = merge(
    { Api = { repository = var.api_repository, branch = var.api_branch, paths = var.api_paths } },
    { for name, web in local.web : "Web" => { repository = web.repository, branch = web.branch, paths = web.paths } },
  )
}

resource "aws_codepipeline" "this" {
  name           = var.name
  role_arn       = aws_iam_role.pipeline.arn
  pipeline_type  = "V2"
  execution_mode = "QUEUED" # a release is never overtaken by the next one

  artifact_store {
    type     = "S3"
    location = aws_s3_bucket.artifacts.bucket

    encryption_key {
      type = "KMS"
      id   = var.kms_key_arn
    }
  }

  dynamic "trigger" {
    for_each = local.sources

    content {
      provider_type = "CodeStarSourceConnection"

      git_configuration {
        source_action_name = trigger.key

        push {
          branches {
            includes = [trigger.value.branch]
          }

          dynamic "file_paths" {
            for_each = length(trigger.value.paths) > 0 ? [trigger.value.paths] : []

            content {
              includes = file_paths.value
            }
          }
        }
      }
    }
  }

  stage {
    name = "Source"

    dynamic "action" {
      for_each = local.sources

      content {
        name             = action.key
        category         = "Source"
        owner            = "AWS"
        provider         = "CodeStarSourceConnection"
        version          = "1"
        namespace        = "${action.key}Source"
        output_artifacts = [action.key]

        configuration = {
          ConnectionArn        = local.connection_arn
          FullRepositoryId     = action.value.repository
          BranchName           = action.value.branch
          DetectChanges        = "false" # the triggers say what starts a release
          OutputArtifactFormat = "CODE_ZIP"
        }
      }
    }

    # The buildspecs and the jobs that they run, as Terraform has them.
    action {
      name             = "Tools"
      category         = "Source"
      owner            = "AWS"
      provider         = "S3"
      version          = "1"
      output_artifacts = ["Tools"]

      configuration = {
        S3Bucket             = local.tools_bucket
        S3ObjectKey          = local.tools_key
        PollForSourceChanges = "false"
      }
    }
  }

  stage {
    name = "Build"

    action {
      name             = "ApiImage"
      category         = "Build"
      owner            = "AWS"
      provider         = "CodeBuild"
      version          = "1"
      input_artifacts  = ["Tools", "Api"]
      output_artifacts = ["ApiImage"]

      configuration = {
        ProjectName          = aws_codebuild_project.this["api-image"].name
        PrimarySource        = "Tools"
        EnvironmentVariables = jsonencode([{ name = "COMMIT", value = "#{ApiSource.CommitId}", type = "PLAINTEXT" }])
      }
    }

    dynamic "action" {
      for_each = local.web

      content {
        name             = "Web"
        category         = "Build"
        owner            = "AWS"
        provider         = "CodeBuild"
        version          = "1"
        input_artifacts  = ["Tools", "Web"]
        output_artifacts = ["WebBuild"]

        configuration = {
          ProjectName          = aws_codebuild_project.this["web"].name
          PrimarySource        = "Tools"
          EnvironmentVariables = jsonencode([{ name = "COMMIT", value = "#{WebSource.CommitId}", type = "PLAINTEXT" }])
        }
      }
    }
  }

  stage {
    name = "Release"

    action {
      name            = "Api"
      category        = "Deploy"
      owner           = "AWS"
      provider        = "CodeDeployToECS"
      version         = "1"
      run_order       = 1
      input_artifacts = ["ApiImage"]

      configuration = {
        ApplicationName                = var.deployment.application
        DeploymentGroupName            = var.deployment.deployment_group
        TaskDefinitionTemplateArtifact = "ApiImage"
        TaskDefinitionTemplatePath     = "taskdef.json"
        AppSpecTemplateArtifact        = "ApiImage"
        AppSpecTemplatePath            = "appspec.yaml"
        Image1ArtifactName             = "ApiImage"
        Image1ContainerName            = "IMAGE1_NAME"
      }
    }

    # After the API: a page never asks for what the API does not have yet.
    dynamic "action" {
      for_each = local.web

      content {
        name            = "Web"
        category        = "Build"
        owner           = "AWS"
        provider        = "CodeBuild"
        version         = "1"
        run_order       = 2
        input_artifacts = ["Tools", "WebBuild"]

        configuration = {
          ProjectName          = aws_codebuild_project.this["web-release"].name
          PrimarySource        = "Tools"
          EnvironmentVariables = jsonencode([{ name = "COMMIT", value = "#{WebSource.CommitId}", type = "PLAINTEXT" }])
        }
      }
    }
  }
}

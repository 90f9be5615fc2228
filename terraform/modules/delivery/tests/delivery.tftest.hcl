mock_provider "aws" {
  source = "../../tests/aws"
}

variables {
  name                = "know-me-staging"
  connection_arn      = "arn:aws:codestar-connections:us-east-1:123456789012:connection/1"
  connection_provider = "GitHub"
  api_repository      = "know-me/api"
  api_branch          = "main"
  api_paths           = ["src/**", "Dockerfile"]
  tools_location      = "assets/some/bundle.zip"
  web = {
    repository       = "know-me/web"
    branch           = "release"
    paths            = []
    api_url          = "https://api.staging.example.com"
    api_url_variable = "REACT_APP_API_URL"
    output_directory = "build"
    bucket           = "know-me-staging-web-123456789012"
    bucket_arn       = "arn:aws:s3:::know-me-staging-web-123456789012"
    distribution_id  = "E1"
    distribution_arn = "arn:aws:cloudfront::123456789012:distribution/E1"
  }
  deployment                     = { application = "know-me-staging-api", deployment_group = "know-me-staging-api" }
  deployment_config_name         = "CodeDeployDefault.ECSAllAtOnce"
  hook_function                  = "know-me-staging-start-schema-migration"
  task_definition_parameter_name = "/know-me/staging/api/task-definition"
  task_definition_family         = "know-me-staging-api"
  container_name                 = "api"
  container_port                 = 8000
  subnet_ids                     = ["subnet-3", "subnet-4"]
  security_group_ids             = ["sg-1"]
  task_role_arn                  = "arn:aws:iam::123456789012:role/know-me-staging-api-task"
  execution_role_arn             = "arn:aws:iam::123456789012:role/know-me-staging-api-execution"
  build_image                    = "aws/codebuild/amazonlinux-x86_64-standard:5.0"
  build_compute_type             = "BUILD_GENERAL1_SMALL"
  images_kept                    = 50
  deletion_protection            = true
  log_retention_days             = 30
  kms_key_arn                    = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
}

run "a_push_to_either_repository_is_built_and_released_one_after_the_other" {
  assert {
    condition     = output.pipeline == { name = "know-me-staging", stages = ["Build", "Release"] }
    error_message = "A migration closes the way into every stage but the source."
  }

  assert {
    condition     = aws_codepipeline.this.pipeline_type == "V2" && aws_codepipeline.this.execution_mode == "QUEUED"
    error_message = "Releases queue."
  }

  assert {
    condition = { for trigger in aws_codepipeline.this.trigger : one(trigger.git_configuration).source_action_name => {
      branches = one(one(one(trigger.git_configuration).push).branches).includes
      paths    = flatten(one(one(trigger.git_configuration).push).file_paths[*].includes)
    } } == { Api = { branches = tolist(["main"]), paths = ["src/**", "Dockerfile"] }, Web = { branches = tolist(["release"]), paths = [] } }
    error_message = "Each source has a trigger with its branch and its paths."
  }

  assert {
    condition     = [for action in aws_codepipeline.this.stage[2].action : [action.name, action.provider, action.run_order]] == [["Api", "CodeDeployToECS", 1], ["Web", "CodeBuild", 2]]
    error_message = "The web app is released after the API that it asks."
  }
}

run "builds_run_the_buildspecs_of_the_tools" {
  assert {
    condition     = { for name, project in aws_codebuild_project.this : name => [project.name, one(project.source).buildspec] } == { api-image = ["know-me-staging-api-image", "codebuild/api-image.buildspec.yml"], web = ["know-me-staging-web", "codebuild/web.buildspec.yml"], web-release = ["know-me-staging-web-release", "codebuild/web-release.buildspec.yml"] }
    error_message = "Every project has its buildspec."
  }

  assert {
    condition     = alltrue([for stage in slice(aws_codepipeline.this.stage, 1, 3) : alltrue([for action in stage.action : action.configuration.PrimarySource == "Tools" if action.provider == "CodeBuild"])])
    error_message = "The buildspec is in the bundle, not in the app's repository."
  }

  assert {
    condition     = [for name, project in aws_codebuild_project.this : name if one(project.environment).privileged_mode] == ["api-image"]
    error_message = "Only the build that needs docker is privileged."
  }
}

run "images_cannot_be_changed_and_are_scanned" {
  assert {
    condition     = aws_ecr_repository.api.image_tag_mutability == "IMMUTABLE" && one(aws_ecr_repository.api.image_scanning_configuration).scan_on_push && one(aws_ecr_repository.api.encryption_configuration).encryption_type == "KMS"
    error_message = "A tag is a commit for ever; what is pushed is scanned and encrypted."
  }

  assert {
    condition     = !aws_ecr_repository.api.force_delete
    error_message = "A protected environment keeps its images."
  }
}

run "every_role_reaches_named_things_only" {
  assert {
    condition = flatten([for policy in concat([aws_iam_role_policy.api_image.policy, aws_iam_role_policy.pipeline.policy], values(aws_iam_role_policy.web)[*].policy, values(aws_iam_role_policy.web_release)[*].policy) :
    [for statement in jsondecode(policy).Statement : statement.Sid if jsonencode(statement.Resource) == jsonencode("*")]]) == ["LogIn", "ReadTaskDefinition"]
    error_message = "Only what has no resource is allowed on everything."
  }

  assert {
    condition     = one([for statement in jsondecode(aws_iam_role_policy.pipeline.policy).Statement : statement.Condition if statement.Sid == "PassTheTasksRoles"]) == { StringEquals = { "iam:PassedToService" = "ecs-tasks.amazonaws.com" } }
    error_message = "The tasks' roles are for tasks."
  }

  assert {
    condition     = length(setintersection([for statement in jsondecode(aws_iam_role_policy.web["web"].policy).Statement : statement.Sid], ["WriteFiles", "PushImage", "Deploy"])) == 0
    error_message = "The build of the web app runs code of its packages: it releases nothing."
  }
}

run "without_a_web_app_the_pipeline_is_the_apis" {
  variables {
    web = null
  }

  assert {
    condition     = keys(aws_codebuild_project.this) == ["api-image"] && [for action in aws_codepipeline.this.stage[0].action : action.name] == ["Api", "Tools"]
    error_message = "Nothing of the web app is left."
  }
}

run "a_connection_is_made_when_none_is_given" {
  variables {
    connection_arn = null
  }

  assert {
    condition     = one(aws_codeconnections_connection.this).name == "know-me-staging" && output.connection_arn == one(aws_codeconnections_connection.this).arn
    error_message = "The pipeline uses the connection that was made."
  }
}

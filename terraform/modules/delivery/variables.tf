variable "name" {
  description = "Prefix of the names: know-me-<environment>."
  type        = string
}

# Sources

variable "connection_arn" {
  description = "ARN of the connection to where the repositories are; null to make one."
  type        = string
}

variable "connection_provider" {
  description = "Where the repositories are, for a connection that is made."
  type        = string
}

variable "api_repository" {
  description = "Repository of the API: <owner>/<name>."
  type        = string
}

variable "api_branch" {
  description = "Branch of the API that is released."
  type        = string
}

variable "api_paths" {
  description = "Patterns of the files whose change releases the API; none for all."
  type        = list(string)
}

variable "tools_location" {
  description = "Bundle with the buildspecs and their jobs in S3: <bucket>/<key>, in a bucket with versions."
  type        = string
}

# What is released

variable "web" {
  description = "The web app: sources, how it is built, and where it goes; null for none."
  type = object({
    repository       = string
    branch           = string
    paths            = list(string)
    api_url          = string
    api_url_variable = string
    output_directory = string
    bucket           = string
    bucket_arn       = string
    distribution_id  = optional(string)
    distribution_arn = optional(string)
  })
}

variable "deployment" {
  description = "Deployment group of the API."
  type        = object({ application = string, deployment_group = string })
}

variable "deployment_config_name" {
  description = "How the deployment group shifts traffic."
  type        = string
}

variable "hook_function" {
  description = "Name of the function that CodeDeploy calls before it installs anything."
  type        = string
}

variable "task_definition_parameter_name" {
  description = "SSM parameter with the ARN of the revision that Terraform describes: a release takes it and changes the image only."
  type        = string
}

variable "task_definition_family" {
  description = "Family of the API's task definition."
  type        = string
}

variable "container_name" {
  description = "Container that runs the image."
  type        = string
}

variable "container_port" {
  description = "Port on which it listens."
  type        = number
}

variable "subnet_ids" {
  description = "Subnets of the tasks."
  type        = list(string)
}

variable "security_group_ids" {
  description = "Security groups of the tasks."
  type        = list(string)
}

variable "task_role_arn" {
  description = "Role of the tasks."
  type        = string
}

variable "execution_role_arn" {
  description = "Role that starts the tasks."
  type        = string
}

# Builds

variable "build_image" {
  description = "Build image."
  type        = string
}

variable "build_compute_type" {
  description = "Compute type of a build."
  type        = string
}

variable "images_kept" {
  description = "Images of the API to keep."
  type        = number
}

variable "deletion_protection" {
  description = "Refuse to delete the image repository while it holds images."
  type        = bool
}

variable "log_retention_days" {
  description = "Days to keep the logs."
  type        = number
}

variable "kms_key_arn" {
  description = "Key that encrypts images, artifacts and logs."
  type        = string
}

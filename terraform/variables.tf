# What is deployed

variable "environment" {
  description = "Name of the environment; also the Terraform workspace: 2 to 16 small letters, digits and single hyphens."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,14}[a-z0-9]$", var.environment)) && !strcontains(var.environment, "--")
    error_message = "environment must be 2 to 16 small letters, digits and single hyphens, start with a letter and not end with a hyphen."
  }

  validation {
    condition     = var.environment == terraform.workspace
    error_message = "environment \"${var.environment}\" must be the selected workspace, which is \"${terraform.workspace}\". Run: terraform workspace select -or-create ${var.environment}"
  }
}

variable "generations" {
  description = "Generations of the environment's stores and which one is active: the document /know-me/<environment>/generations. Unset settings mean the defaults of the environment."
  nullable    = false
  type = object({
    database = object({
      active = string
      all = map(object({
        engine_version    = optional(string)
        instance_class    = optional(string)
        allocated_storage = optional(number)
      }))
    })
    media = optional(object({
      active = string
      all = map(object({
        unfinished = optional(bool, false) # for the runbooks: a copy that a failed run began
      }))
    }), { active = "blue", all = { blue = {} } })
  })

  validation {
    condition = alltrue([
      for name in keys(var.generations.database.all) :
      can(regex("^[a-z][a-z0-9-]{0,14}[a-z0-9]$", name)) && !strcontains(name, "--")
    ])
    error_message = "Names of database generations must be 2 to 16 small letters, digits and single hyphens, start with a letter and not end with a hyphen: ${join(", ", keys(var.generations.database.all))}."
  }

  validation {
    condition     = contains(keys(var.generations.database.all), var.generations.database.active)
    error_message = "The active database generation \"${var.generations.database.active}\" must be one of generations.database.all: ${join(", ", keys(var.generations.database.all))}."
  }

  validation {
    condition = alltrue([
      for settings in values(var.generations.database.all) :
      settings.engine_version == null || can(regex("^[1-9][0-9]([.][0-9]+)?$", settings.engine_version))
    ])
    error_message = "engine_version of a database generation must be a PostgreSQL version such as \"17\" or \"17.4\"."
  }

  validation {
    condition = alltrue([
      for settings in values(var.generations.database.all) :
      settings.instance_class == null || can(regex("^db[.][a-z0-9-]+[.][a-z0-9]+$", settings.instance_class))
    ])
    error_message = "instance_class of a database generation must look like \"db.t4g.medium\"."
  }

  validation {
    condition = alltrue([
      for settings in values(var.generations.database.all) :
      settings.allocated_storage == null || try(settings.allocated_storage >= 20 && settings.allocated_storage <= 65536, false)
    ])
    error_message = "allocated_storage of a database generation must be 20 to 65536 GiB."
  }

  validation {
    condition = alltrue([
      for name in keys(var.generations.media.all) :
      can(regex("^[a-z][a-z0-9-]{0,14}[a-z0-9]$", name)) && !strcontains(name, "--")
    ])
    error_message = "Names of media generations must be 2 to 16 small letters, digits and single hyphens, start with a letter and not end with a hyphen: ${join(", ", keys(var.generations.media.all))}."
  }

  validation {
    condition     = contains(keys(var.generations.media.all), var.generations.media.active)
    error_message = "The active media generation \"${var.generations.media.active}\" must be one of generations.media.all: ${join(", ", keys(var.generations.media.all))}."
  }

  validation {
    condition     = !try(var.generations.media.all[var.generations.media.active].unfinished, false)
    error_message = "The active media generation \"${var.generations.media.active}\" must not be unfinished: its copy would lack files that the app refers to."
  }
}

# What the orchestrator passes

variable "artifacts_bucket" {
  description = "Name of the bucket with the run folders, which the jobs read and write."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.artifacts_bucket))
    error_message = "artifacts_bucket must be the name of a bucket, not a URL or an ARN."
  }
}

variable "notification_topic_arn" {
  description = "ARN of the SNS topic that tells people how runs ended."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:.+$", var.notification_topic_arn))
    error_message = "notification_topic_arn must be the ARN of an SNS topic."
  }
}

variable "database_jobs_source" {
  description = "Source bundle of the database jobs and the media jobs in S3: <bucket>/<key of a zip>."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.+$", var.database_jobs_source))
    error_message = "database_jobs_source must be <bucket>/<key>, without s3://."
  }
}

# Of the whole environment

variable "s3_use_path_style" {
  description = "Address S3 buckets in the path instead of the host name, for endpoints without a host name per bucket."
  type        = bool
  default     = false
}

variable "log_retention_days" {
  description = "Days to keep the logs of the API, the databases and the jobs."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 3653], var.log_retention_days)
    error_message = "log_retention_days must be a retention that CloudWatch Logs knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827 or 3653."
  }
}

variable "deletion_protection" {
  description = "Refuse to delete databases, the load balancer, and media buckets that hold anything. Turn off, and apply, before a generation or the environment is removed: a bucket is then emptied, of old versions as well, and deleted."
  type        = bool
  default     = true
}

variable "secret_recovery_days" {
  description = "Days in which a deleted secret can be restored; 0 deletes at once, so that a throw-away environment can be made again under the same name."
  type        = number
  default     = 7

  validation {
    condition     = var.secret_recovery_days == 0 || (var.secret_recovery_days >= 7 && var.secret_recovery_days <= 30)
    error_message = "secret_recovery_days must be 0 or 7 to 30."
  }
}

# Network

variable "vpc_cidr" {
  description = "IPv4 range of the VPC, /16 to /20; every subnet takes a sixteenth of it."
  type        = string
  default     = "10.0.0.0/16"

  validation {
    condition     = can(cidrhost(var.vpc_cidr, 0)) && try(tonumber(split("/", var.vpc_cidr)[1]) >= 16 && tonumber(split("/", var.vpc_cidr)[1]) <= 20, false)
    error_message = "vpc_cidr must be an IPv4 range with a prefix from /16 to /20, such as 10.0.0.0/16."
  }
}

variable "zone_count" {
  description = "Number of availability zones to spread over."
  type        = number
  default     = 2

  validation {
    condition     = contains([2, 3, 4], var.zone_count)
    error_message = "zone_count must be 2, 3 or 4: a load balancer and a database subnet group need two."
  }
}

variable "nat_gateways" {
  description = "\"single\" (cheaper; one zone's outage stops outgoing traffic of all) or \"per-zone\"."
  type        = string
  default     = "single"

  validation {
    condition     = contains(["single", "per-zone"], var.nat_gateways)
    error_message = "nat_gateways must be \"single\" or \"per-zone\"."
  }
}

variable "flow_logs" {
  description = "Record rejected connections of the VPC in CloudWatch Logs."
  type        = bool
  default     = false
}

# Databases: defaults of generations that do not say otherwise

variable "database_engine_version" {
  description = "PostgreSQL version: a major (\"17\": RDS keeps the minor up to date) or an exact one (\"17.4\")."
  type        = string
  default     = "17"

  validation {
    condition     = can(regex("^[1-9][0-9]([.][0-9]+)?$", var.database_engine_version))
    error_message = "database_engine_version must be a PostgreSQL version such as \"17\" or \"17.4\"."
  }
}

variable "database_instance_class" {
  description = "Instance class."
  type        = string
  default     = "db.t4g.medium"

  validation {
    condition     = can(regex("^db[.][a-z0-9-]+[.][a-z0-9]+$", var.database_instance_class))
    error_message = "database_instance_class must look like \"db.t4g.medium\"."
  }
}

variable "database_allocated_storage" {
  description = "Storage in GiB."
  type        = number
  default     = 20

  validation {
    condition     = var.database_allocated_storage >= 20 && var.database_allocated_storage <= 65536
    error_message = "database_allocated_storage must be 20 to 65536 GiB."
  }
}

variable "database_name" {
  description = "Name of the app's database."
  type        = string
  default     = "know_me"

  validation {
    condition     = can(regex("^[a-z][a-z0-9_]{0,62}$", var.database_name))
    error_message = "database_name must be 1 to 63 small letters, digits and underscores, and start with a letter."
  }
}

variable "database_multi_az" {
  description = "Keep a standby in another zone."
  type        = bool
  default     = false
}

variable "database_backup_retention_days" {
  description = "Days of automated backups. At least 1: a migration refuses to start from a database without backups."
  type        = number
  default     = 7

  validation {
    condition     = var.database_backup_retention_days >= 1 && var.database_backup_retention_days <= 35
    error_message = "database_backup_retention_days must be 1 to 35."
  }
}

variable "database_skip_final_snapshot" {
  description = "Delete databases without a last snapshot; only for throw-away environments."
  type        = bool
  default     = false
}

variable "database_apply_immediately" {
  description = "Make changes of a database when they are applied, not in its next maintenance window."
  type        = bool
  default     = true
}

variable "database_ca_certificate" {
  description = "Certificate authority of the databases' TLS certificates, such as \"rds-ca-rsa2048-g1\"; null for the account's default. Naming one costs a new instance a second round of modification."
  type        = string
  default     = null
}

variable "database_certificate_bundle_url" {
  description = "Certificate bundle by which clients verify a database's certificate."
  type        = string
  default     = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"

  validation {
    condition     = can(regex("^https?://[^[:space:]]+$", var.database_certificate_bundle_url))
    error_message = "database_certificate_bundle_url must be a URL."
  }
}

# Media

variable "media_encryption" {
  description = "Default encryption of the media buckets. \"AES256\": S3's own keys; an object's ETag stays comparable between buckets, and anybody can read static/. \"aws:kms\": the environment's key, with a bucket key; ETags then say nothing about contents, so verification compares checksums or reads, and static/ cannot be public, because S3 decrypts for no anonymous reader."
  type        = string
  default     = "AES256"

  validation {
    condition     = contains(["AES256", "aws:kms"], var.media_encryption)
    error_message = "media_encryption must be \"AES256\" or \"aws:kms\"."
  }

  validation {
    condition     = var.media_encryption != "aws:kms" || !var.media_public_static
    error_message = "media_encryption \"aws:kms\" needs media_public_static = false: S3 decrypts for no anonymous reader."
  }
}

variable "media_public_static" {
  description = "Let everybody read static/ directly from the bucket. Turn off once a CloudFront distribution reads it."
  type        = bool
  default     = true
}

variable "media_cors_origins" {
  description = "Origins of the web app, whose pages may read the media, such as https://app.example.com; none for no rule."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for origin in var.media_cors_origins : can(regex("^https?://[a-z0-9*][a-z0-9.*-]*(:[0-9]+)?$", origin)) && length(split("*", origin)) <= 2])
    error_message = "media_cors_origins must be origins such as https://app.example.com: scheme and host, no path, at most one \"*\"."
  }
}

variable "media_noncurrent_version_days" {
  description = "Days to keep versions of files that were overwritten or deleted: how long a mistake can be taken back."
  type        = number
  default     = 30

  validation {
    condition     = try(var.media_noncurrent_version_days >= 1 && floor(var.media_noncurrent_version_days) == var.media_noncurrent_version_days, false)
    error_message = "media_noncurrent_version_days must be a whole number from 1."
  }
}

variable "media_file_columns" {
  description = "Columns of the database that hold paths of files, and what stands before a path in the bucket: {table = \"public.know_me_photo\", column = \"file\", prefix = \"media/\"}. A migration checks that each file exists in the new bucket."
  type        = list(object({ table = string, column = string, prefix = string }))
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for each in var.media_file_columns : can(regex("^[^.\"]+[.][^.\"]+$", each.table)) && can(regex("^[^\"]+$", each.column))])
    error_message = "media_file_columns needs a table with its schema, such as \"public.know_me_photo\", and a column."
  }

  validation {
    condition     = alltrue([for each in var.media_file_columns : each.prefix == "" || can(regex("^[^/].*/$", each.prefix))])
    error_message = "prefix in media_file_columns must be empty or end, and not begin, with a slash, such as \"media/\"."
  }

  validation {
    condition     = length(distinct([for each in var.media_file_columns : "${each.table}.${each.column}"])) == length(var.media_file_columns)
    error_message = "media_file_columns must name a column once."
  }
}

# API

variable "api_image" {
  description = "Image of the API, with a tag or a digest."
  type        = string

  validation {
    condition     = can(regex("^[^[:space:]]+$", var.api_image))
    error_message = "api_image must be the name of an image, such as 123456789012.dkr.ecr.us-east-1.amazonaws.com/know-me-api:1.4.2."
  }
}

variable "api_image_repository_arn" {
  description = "ARN of the ECR repository that holds the image; null for a public registry."
  type        = string
  default     = null
}

variable "api_environment" {
  description = "Further environment variables of the API. Not for secrets."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = length([for name in keys(var.api_environment) : name if startswith(name, "DATABASE_") || contains(["DJANGO_SECRET_KEY", "MEDIA_BUCKET"], name)]) == 0
    error_message = "api_environment must not contain DATABASE_…, MEDIA_BUCKET or DJANGO_SECRET_KEY: they follow from the active generations and the environment's own key."
  }
}

variable "api_port" {
  description = "Port on which the API's container listens."
  type        = number
  default     = 8000

  validation {
    condition     = var.api_port >= 1 && var.api_port <= 65535
    error_message = "api_port must be 1 to 65535."
  }
}

variable "api_cpu" {
  description = "CPU units of a task (1024 are one virtual CPU), in a combination with api_memory that Fargate offers."
  type        = number
  default     = 256

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096, 8192, 16384], var.api_cpu)
    error_message = "api_cpu must be 256, 512, 1024, 2048, 4096, 8192 or 16384."
  }
}

variable "api_memory" {
  description = "Memory of a task in MiB."
  type        = number
  default     = 512

  validation {
    condition     = var.api_memory >= 512 && var.api_memory <= 122880
    error_message = "api_memory must be 512 to 122880 MiB."
  }
}

variable "api_minimum_tasks" {
  description = "Fewest tasks that autoscaling keeps; also the number at the start."
  type        = number
  default     = 1

  validation {
    condition     = var.api_minimum_tasks >= 1
    error_message = "api_minimum_tasks must be at least 1."
  }
}

variable "api_maximum_tasks" {
  description = "Most tasks that autoscaling starts."
  type        = number
  default     = 4

  validation {
    condition     = var.api_maximum_tasks >= var.api_minimum_tasks
    error_message = "api_maximum_tasks must not be below api_minimum_tasks."
  }
}

variable "api_listener_port" {
  description = "Port of the load balancer's HTTP listener. With a certificate it redirects to HTTPS."
  type        = number
  default     = 80

  validation {
    condition     = var.api_listener_port >= 1 && var.api_listener_port <= 65535 && var.api_listener_port != 443
    error_message = "api_listener_port must be 1 to 65535 and not 443."
  }
}

variable "api_certificate_arn" {
  description = "ARN of the ACM certificate for HTTPS on port 443; null for HTTP only."
  type        = string
  default     = null

  validation {
    condition     = var.api_certificate_arn == null || can(regex("^arn:[a-z-]+:acm:[a-z0-9-]+:[0-9]{12}:certificate/.+$", var.api_certificate_arn))
    error_message = "api_certificate_arn must be the ARN of an ACM certificate."
  }
}

variable "api_domain_name" {
  description = "Name under which the API is reached; null for the load balancer's own. Needed with a certificate, which does not know the load balancer's name."
  type        = string
  default     = null

  validation {
    condition     = var.api_certificate_arn == null || var.api_domain_name != null
    error_message = "api_domain_name is needed with api_certificate_arn: the health check verifies the certificate against it."
  }
}

variable "api_allowed_cidr_blocks" {
  description = "IPv4 ranges that may reach the load balancer."
  type        = list(string)
  default     = ["0.0.0.0/0"]

  validation {
    condition     = length(var.api_allowed_cidr_blocks) > 0 && alltrue([for block in var.api_allowed_cidr_blocks : can(cidrhost(block, 0))])
    error_message = "api_allowed_cidr_blocks must be at least one IPv4 range such as 203.0.113.0/24."
  }
}

variable "api_access_logs_bucket" {
  description = "Bucket for the load balancer's access logs, with a policy that lets it write; null for none."
  type        = string
  default     = null
}

# Database jobs

variable "database_jobs_compute_type" {
  description = "Compute type of the database jobs: CPUs for parallel dump and restore, and 64 to 824 GB of disk for the dump."
  type        = string
  default     = "BUILD_GENERAL1_MEDIUM"

  validation {
    condition     = contains(["BUILD_GENERAL1_SMALL", "BUILD_GENERAL1_MEDIUM", "BUILD_GENERAL1_LARGE", "BUILD_GENERAL1_XLARGE", "BUILD_GENERAL1_2XLARGE"], var.database_jobs_compute_type)
    error_message = "database_jobs_compute_type must be BUILD_GENERAL1_SMALL, …_MEDIUM, …_LARGE, …_XLARGE or …_2XLARGE."
  }
}

variable "database_jobs_image" {
  description = "Build image of the database jobs."
  type        = string
  default     = "aws/codebuild/amazonlinux-x86_64-standard:5.0"
}

# Media jobs

variable "media_jobs_compute_type" {
  description = "Compute type of the media jobs, which list and compare buckets as streams: CPUs for many requests at once."
  type        = string
  default     = "BUILD_GENERAL1_MEDIUM"

  validation {
    condition     = contains(["BUILD_GENERAL1_SMALL", "BUILD_GENERAL1_MEDIUM", "BUILD_GENERAL1_LARGE", "BUILD_GENERAL1_XLARGE", "BUILD_GENERAL1_2XLARGE"], var.media_jobs_compute_type)
    error_message = "media_jobs_compute_type must be BUILD_GENERAL1_SMALL, …_MEDIUM, …_LARGE, …_XLARGE or …_2XLARGE."
  }
}

variable "media_jobs_image" {
  description = "Build image of the media jobs."
  type        = string
  default     = "aws/codebuild/amazonlinux-x86_64-standard:5.0"
}

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
  description = "Refuse to delete databases, the load balancer, and media and web buckets that hold anything. Turn off, and apply, before a generation or the environment is removed: a bucket is then emptied, of old versions as well, and deleted. production keeps it."
  type        = bool
  default     = true

  validation {
    condition     = var.deletion_protection || var.environment != "production"
    error_message = "deletion_protection must be true for production: its databases, buckets and load balancer are not for deleting."
  }
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

  validation {
    condition     = !var.database_skip_final_snapshot || var.environment != "production"
    error_message = "database_skip_final_snapshot must be false for production: a retired database leaves a snapshot behind."
  }
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
    error_message = "api_environment must not contain DATABASE_…, MEDIA_BUCKET or DJANGO_SECRET_KEY: tasks read them from the environment's secrets and parameters."
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

variable "api_requests_per_task" {
  description = "Requests per task and minute that autoscaling aims at, besides 60 % of the CPU."
  type        = number
  default     = 1000

  validation {
    condition     = var.api_requests_per_task >= 1
    error_message = "api_requests_per_task must be at least 1."
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

variable "api_test_listener_port" {
  description = "Port of the listener on which a release answers before it gets the production traffic; null for 8443 with a certificate and 8080 without."
  type        = number
  default     = null

  validation {
    condition     = try(var.api_test_listener_port >= 1 && var.api_test_listener_port <= 65535, var.api_test_listener_port == null)
    error_message = "api_test_listener_port must be 1 to 65535."
  }

  validation {
    condition = !contains(
      var.api_certificate_arn == null && var.domain_name == null ? [var.api_listener_port] : [var.api_listener_port, 443],
      coalesce(var.api_test_listener_port, var.api_certificate_arn == null && var.domain_name == null ? 8080 : 8443),
    )
    error_message = "api_test_listener_port, which is 8443 with a certificate and 8080 without unless it is set, must be another port than the production traffic's and api_listener_port."
  }
}

variable "api_certificate_arn" {
  description = "ARN of an ACM certificate for HTTPS on port 443, made elsewhere; null for that of domain_name, or for HTTP only without one."
  type        = string
  default     = null

  validation {
    condition     = var.api_certificate_arn == null || can(regex("^arn:[a-z-]+:acm:[a-z0-9-]+:[0-9]{12}:certificate/.+$", var.api_certificate_arn))
    error_message = "api_certificate_arn must be the ARN of an ACM certificate."
  }

  validation {
    condition     = var.api_certificate_arn == null || var.domain_name == null
    error_message = "api_certificate_arn must be null with domain_name, which brings a certificate of its own."
  }
}

variable "api_domain_name" {
  description = "Name under which the API is reached when domain_name is null; null for the load balancer's own. Needed with a certificate, which does not know the load balancer's name."
  type        = string
  default     = null

  validation {
    condition     = var.api_certificate_arn == null || var.api_domain_name != null
    error_message = "api_domain_name is needed with api_certificate_arn: the health check verifies the certificate against it."
  }

  validation {
    condition     = var.api_domain_name == null || var.domain_name == null
    error_message = "api_domain_name must be null with domain_name, from which the API's name follows."
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

variable "api_test_allowed_cidr_blocks" {
  description = "IPv4 ranges that may reach the listener on which a release answers before it gets the production traffic; none for nobody."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for block in var.api_test_allowed_cidr_blocks : can(cidrhost(block, 0))])
    error_message = "api_test_allowed_cidr_blocks must be IPv4 ranges such as 203.0.113.0/24."
  }
}

variable "api_access_logs_bucket" {
  description = "Bucket for the load balancer's access logs, with a policy that lets it write; null for none."
  type        = string
  default     = null
}

# Releases

variable "delivery" {
  description = "Where releases come from: repositories of the API and of the web app (<owner>/<name>), their branches, and patterns of the files whose change starts a release (none: every change). connection_arn null: Terraform makes a connection, which somebody confirms in the console once. null: no pipeline."
  type = object({
    api = object({
      repository = string
      branch     = optional(string, "main")
      paths      = optional(list(string), [])
    })
    web = optional(object({
      repository       = string
      branch           = optional(string, "main")
      paths            = optional(list(string), [])
      api_url_variable = optional(string, "REACT_APP_API_URL") # by which the web app's build is told where the API is
      output_directory = optional(string, "build")
    }))
    connection_arn      = optional(string)
    connection_provider = optional(string, "GitHub")
    build_image         = optional(string, "aws/codebuild/amazonlinux-x86_64-standard:5.0")
    build_compute_type  = optional(string, "BUILD_GENERAL1_SMALL")
    images_kept         = optional(number, 50)
  })
  default = null

  validation {
    condition     = alltrue([for source in try([var.delivery.api, var.delivery.web], []) : source == null || can(regex("^[^/[:space:]]+/[^[:space:]]+$", source.repository))])
    error_message = "A repository in delivery must be <owner>/<name>."
  }

  validation {
    condition     = alltrue([for source in try([var.delivery.api, var.delivery.web], []) : try(length(source.paths), 0) <= 8])
    error_message = "paths in delivery must be at most 8 patterns: a trigger of CodePipeline takes no more."
  }

  validation {
    condition     = try(var.delivery.connection_arn, null) == null || can(regex("^arn:[a-z-]+:(codestar-connections|codeconnections):[a-z0-9-]+:[0-9]{12}:connection/.+$", var.delivery.connection_arn))
    error_message = "connection_arn in delivery must be the ARN of a connection."
  }

  validation {
    condition     = try(var.delivery.images_kept >= 2, true)
    error_message = "images_kept in delivery must be at least 2: a rollback needs the image before."
  }
}

variable "release_traffic_shift" {
  description = "How a release shifts traffic: a deployment configuration of CodeDeploy for ECS."
  type        = string
  default     = "CodeDeployDefault.ECSCanary10Percent5Minutes"

  validation {
    condition     = can(regex("^[A-Za-z0-9._+=,@-]{1,100}$", var.release_traffic_shift))
    error_message = "release_traffic_shift must be the name of a deployment configuration, such as \"CodeDeployDefault.ECSAllAtOnce\"."
  }
}

variable "release_termination_wait_minutes" {
  description = "Minutes to keep the old tasks after a release has all the traffic: as long it can be rolled back within seconds, and a migration does not start."
  type        = number
  default     = 5

  validation {
    condition     = try(var.release_termination_wait_minutes >= 0 && var.release_termination_wait_minutes <= 2880 && floor(var.release_termination_wait_minutes) == var.release_termination_wait_minutes, false)
    error_message = "release_termination_wait_minutes must be a whole number from 0 to 2880."
  }
}

variable "release_alarm_names" {
  description = "Further CloudWatch alarms that stop a release and roll it back; those on errors and latency of the API do so anyway."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(var.release_alarm_names) <= 7
    error_message = "release_alarm_names must be at most 7: CodeDeploy watches ten, the API's own included."
  }
}

variable "background_jobs_schedule" {
  description = "When the background jobs start: an EventBridge schedule expression. A run that finds the one before at work does nothing."
  type        = string
  default     = "rate(15 minutes)"

  validation {
    condition     = can(regex("^(rate|cron)[(].+[)]$", var.background_jobs_schedule))
    error_message = "background_jobs_schedule must be a schedule expression such as \"rate(15 minutes)\" or \"cron(0/15 * * * ? *)\"."
  }
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

# Names

variable "domain_name" {
  description = "Domain with a public hosted zone in this account, such as example.com: production answers on api.example.com and app.example.com, staging on api.staging.example.com and app.staging.example.com, with certificates. null for the names of the load balancer and of CloudFront."
  type        = string
  default     = null

  validation {
    condition     = var.domain_name == null || (can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?[.])+[a-z]{2,63}$", var.domain_name)) && try(length("api.${var.environment}.${var.domain_name}") <= 64, false))
    error_message = "domain_name must be a domain in small letters such as example.com, and api.<environment>.<domain_name> at most 64 characters: more does not fit into a certificate."
  }
}

# Web app

variable "web_price_class" {
  description = "From where CloudFront answers: PriceClass_100 (North America and Europe), PriceClass_200 (most of the world) or PriceClass_All."
  type        = string
  default     = "PriceClass_100"

  validation {
    condition     = contains(["PriceClass_100", "PriceClass_200", "PriceClass_All"], var.web_price_class)
    error_message = "web_price_class must be PriceClass_100, PriceClass_200 or PriceClass_All."
  }
}

variable "web_content_security_policy" {
  description = "Header Content-Security-Policy of the web app; null for one that allows the app's own files, calls of the API, and pictures and films over HTTPS."
  type        = string
  default     = null

  validation {
    condition     = var.web_content_security_policy == null || can(regex("^[^[:cntrl:]]*default-src [^[:cntrl:]]+$", var.web_content_security_policy))
    error_message = "web_content_security_policy must be one line with a default-src."
  }
}

variable "web_access_logs_bucket" {
  description = "Name of a bucket for CloudFront's access logs, with access lists enabled; null for none."
  type        = string
  default     = null

  validation {
    condition     = var.web_access_logs_bucket == null || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.web_access_logs_bucket))
    error_message = "web_access_logs_bucket must be the name of a bucket, not a URL or an ARN."
  }
}

variable "web_noncurrent_version_days" {
  description = "Days to keep files of the web app that a release replaced or removed: how far back a release can be taken."
  type        = number
  default     = 90

  validation {
    condition     = try(var.web_noncurrent_version_days >= 1 && floor(var.web_noncurrent_version_days) == var.web_noncurrent_version_days, false)
    error_message = "web_noncurrent_version_days must be a whole number from 1."
  }
}

# Firewalls

variable "firewall" {
  description = "Put a web ACL before the API: only its own names, AWS's managed rules, a limit of requests for each address."
  type        = bool
  default     = true
}

variable "web_firewall" {
  description = "Put a web ACL before the web app too. It serves files only, so that is mostly a matter of the limit."
  type        = bool
  default     = false
}

variable "firewall_rate_limit" {
  description = "Most requests of one address in five minutes, before a firewall blocks it; null for no limit. Many people can share an address."
  type        = number
  default     = 2000

  validation {
    condition     = var.firewall_rate_limit == null || try(var.firewall_rate_limit >= 10 && var.firewall_rate_limit <= 2000000000, false)
    error_message = "firewall_rate_limit must be 10 to 2000000000, or null."
  }
}

variable "firewall_hosts" {
  description = "Further names under which clients ask for the API, besides its own and the load balancer's."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for host in var.firewall_hosts : can(regex("^[a-z0-9][a-z0-9.-]*[a-z0-9]$", host))])
    error_message = "firewall_hosts must be host names or addresses in small letters, without a port."
  }

  validation {
    condition     = length(join("|", var.firewall_hosts)) <= 256
    error_message = "firewall_hosts must have 256 characters at most together: a rule of the firewall takes 512."
  }
}

# Alarms

variable "alarm_thresholds" {
  description = "When an alarm is raised: shares of answers with 5xx in per cent, the 95th percentile of the latency in seconds, CPU of a database in per cent, free storage of it in per cent, connections to it (a db.t4g.medium takes about 400)."
  nullable    = false
  type = object({
    balancer_errors_percent       = optional(number, 2)
    target_errors_percent         = optional(number, 5)
    latency_seconds               = optional(number, 2)
    database_cpu_percent          = optional(number, 85)
    database_free_storage_percent = optional(number, 15)
    database_connections          = optional(number, 300)
  })
  default = {}

  validation {
    condition = alltrue([
      for name, value in var.alarm_thresholds : endswith(name, "_percent") ? try(value > 0 && value < 100, false) : try(value > 0, false)
    ])
    error_message = "alarm_thresholds must be above 0, and shares (…_percent) below 100."
  }
}

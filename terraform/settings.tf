# Settings of the app itself: what it is called, whom it tells of its errors, whose purchases it checks, in whose name it sends mail.
# Values that are secret are not here: api_secrets names them, and a person puts them into Secrets Manager.

variable "api_secrets" {
  description = "Secret settings of the API: environment variable = last part of the secret's name, such as {APPLE_SHARED_SECRET = \"apple-shared-secret\"} for know-me/<environment>/api/apple-shared-secret. The secrets are made empty; fill them before the next release, whose tasks cannot start without a value."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(var.api_secrets) : can(regex("^[A-Z][A-Z0-9_]*$", name)) && !startswith(name, "DATABASE_") && !contains(["DJANGO_SECRET_KEY", "MEDIA_BUCKET"], name)])
    error_message = "Names in api_secrets must be environment variables in capitals, and not DATABASE_…, MEDIA_BUCKET or DJANGO_SECRET_KEY, which the environment has already."
  }

  validation {
    condition     = alltrue([for secret in values(var.api_secrets) : can(regex("^[a-z][a-z0-9-]{0,62}$", secret)) && secret != "django-secret-key"]) && length(distinct(values(var.api_secrets))) == length(var.api_secrets)
    error_message = "Secrets in api_secrets must be named once each, by small letters, digits and hyphens, and not django-secret-key, which the environment has already."
  }

  validation {
    condition     = length(setintersection(keys(var.api_secrets), keys(var.api_environment))) == 0
    error_message = "api_secrets and api_environment must not name the same variable."
  }
}

variable "django_allowed_hosts" {
  description = "Hosts that Django itself answers. The default is all: the firewall lets requests for the API's names through only, and the load balancer's health checks ask by the address of a task, which no list knows."
  type        = list(string)
  default     = ["*"]
  nullable    = false

  validation {
    condition     = length(var.django_allowed_hosts) > 0 && alltrue([for host in var.django_allowed_hosts : can(regex("^([*]|[.]?[a-z0-9][a-z0-9.-]*)$", host))])
    error_message = "django_allowed_hosts must be at least one host name in small letters, with a dot before it for every name below it, or \"*\"."
  }
}

variable "sentry_dsn" {
  description = "Address at which Sentry takes the API's errors; null for none. It lets anybody send and nobody read; when it shall not be seen either, name SENTRY_DSN in api_secrets."
  type        = string
  default     = null

  validation {
    condition     = var.sentry_dsn == null || can(regex("^https://[^@/[:space:]]+@[^/[:space:]]+/[^[:space:]]+$", var.sentry_dsn))
    error_message = "sentry_dsn must look like https://<key>@<host>/<project>."
  }

  validation {
    condition     = var.sentry_dsn == null || !contains(keys(var.api_secrets), "SENTRY_DSN")
    error_message = "sentry_dsn must be null when api_secrets names SENTRY_DSN."
  }
}

variable "apple_product_codes" {
  description = "Products of the App Store whose receipts the API accepts, such as com.example.knowme.premium; none for no purchases."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for code in var.apple_product_codes : can(regex("^[A-Za-z0-9._-]+$", code))])
    error_message = "apple_product_codes must be product identifiers: letters, digits, dots, hyphens and underscores."
  }
}

variable "apple_receipt_validation" {
  description = "Which of Apple's servers checks receipts: \"production\", or \"sandbox\" for purchases that cost nothing."
  type        = string
  default     = "sandbox"

  validation {
    condition     = contains(["production", "sandbox"], var.apple_receipt_validation)
    error_message = "apple_receipt_validation must be \"production\" or \"sandbox\"."
  }
}

variable "email_sender" {
  description = "Address from which the API sends mail through SES, such as \"Know Me <no-reply@example.com>\"; null when it sends none."
  type        = string
  default     = null

  validation {
    condition     = var.email_sender == null || can(regex("^([^<>]+<[^<>@[:space:]]+@[^<>@[:space:]]+>|[^<>@[:space:]]+@[^<>@[:space:]]+)$", var.email_sender))
    error_message = "email_sender must be an address, or a name and an address in angle brackets."
  }
}

variable "email_identity_arn" {
  description = "ARN of the verified SES identity of email_sender, in whose name alone the API may send."
  type        = string
  default     = null

  validation {
    condition     = var.email_identity_arn == null || can(regex("^arn:[a-z-]+:ses:[a-z0-9-]+:[0-9]{12}:identity/[^*[:space:]]+$", var.email_identity_arn))
    error_message = "email_identity_arn must be the ARN of an SES identity, without a wildcard."
  }

  validation {
    condition     = (var.email_sender == null) == (var.email_identity_arn == null)
    error_message = "email_sender and email_identity_arn must be given together: without the identity AWS refuses the mail."
  }
}

locals {
  # What is null is left out; api_environment may set anything of it otherwise.
  api_settings = { for name, value in {
    DJANGO_ALLOWED_HOSTS     = join(",", var.django_allowed_hosts)
    DJANGO_HTTPS             = tostring(local.https)
    WEB_APP_URL              = module.web.url
    SENTRY_DSN               = var.sentry_dsn
    SENTRY_ENVIRONMENT       = var.sentry_dsn == null ? null : var.environment
    APPLE_PRODUCT_CODES      = length(var.apple_product_codes) == 0 ? null : join(",", var.apple_product_codes)
    APPLE_RECEIPT_VALIDATION = length(var.apple_product_codes) == 0 ? null : var.apple_receipt_validation
    EMAIL_SENDER             = var.email_sender
  } : name => value if value != null }
}

# What the world sees: the web app, names and certificates, firewalls; and what people hear of: alarms.

locals {
  https        = var.domain_name != null || var.api_certificate_arn != null
  api_name     = var.domain_name == null ? var.api_domain_name : module.dns.api_name
  api_hosts    = concat(local.api_name[*], [module.api.load_balancer.dns_name], var.firewall_hosts)
  runbook_arns = "arn:${local.partition}:states:${local.region}:${local.account_id}:stateMachine:${local.name}"

  # Pages load their own files, show pictures and films from anywhere over HTTPS, and call the API.
  content_security_policy = coalesce(var.web_content_security_policy, join("; ", [
    "default-src 'self'",
    "connect-src 'self' ${module.api.url}",
    "img-src 'self' data: blob: https:",
    "media-src 'self' blob: https:",
    "style-src 'self' 'unsafe-inline'",
    "object-src 'none'",
    "base-uri 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ]))
}

module "dns" {
  source = "./modules/dns"

  providers = {
    aws        = aws
    aws.global = aws.global
  }

  environment = var.environment
  domain_name = var.domain_name
  api         = { dns_name = module.api.load_balancer.dns_name, zone_id = module.api.load_balancer.zone_id }
  web         = module.web.distribution
}

module "web" {
  source = "./modules/web"

  name                    = local.name
  domain_name             = module.dns.web_name
  certificate_arn         = module.dns.web_certificate_arn
  web_acl_arn             = one(module.web_firewall[*].arn)
  content_security_policy = local.content_security_policy
  price_class             = var.web_price_class
  access_logs_bucket      = var.web_access_logs_bucket
  noncurrent_version_days = var.web_noncurrent_version_days
  deletion_protection     = var.deletion_protection
}

module "firewall" {
  source = "./modules/firewall"
  count  = var.firewall ? 1 : 0

  name               = "${local.name}-api"
  scope              = "REGIONAL"
  hosts              = local.api_hosts
  rate_limit         = var.firewall_rate_limit
  resource_arns      = { api = module.api.load_balancer.arn }
  log_retention_days = var.log_retention_days
  kms_key_arn        = aws_kms_key.environment.arn
}

# Of scope CLOUDFRONT, in us-east-1. CloudFront itself answers for the distribution's names only.
module "web_firewall" {
  source = "./modules/firewall"
  count  = var.web_firewall ? 1 : 0

  providers = {
    aws = aws.global
  }

  name               = "${local.name}-web"
  scope              = "CLOUDFRONT"
  hosts              = []
  rate_limit         = var.firewall_rate_limit
  resource_arns      = {}
  log_retention_days = var.log_retention_days
  kms_key_arn        = local.region == "us-east-1" ? aws_kms_key.environment.arn : null # a log's key is in its region
}

module "watching" {
  source = "./modules/watching"

  name                   = local.name
  notification_topic_arn = var.notification_topic_arn
  balancer               = module.api.load_balancer.arn_suffix
  target_groups          = { for index, colour in ["blue", "green"] : colour => module.api.target_groups[index].arn_suffix }
  service                = { cluster = module.api.service.cluster, name = module.api.service.name }
  databases = {
    for generation, database in module.database : generation => {
      instance_id       = database.manifest.instance_id
      allocated_storage = database.manifest.allocated_storage
    }
  }
  runbooks = {
    for name in ["provision", "migrate", "return", "schema-migration", "background-jobs"] : name => "${local.runbook_arns}-${name}"
  }
  dead_letter_queues = {
    provision        = "${local.name}-provision-undelivered"
    return           = "${local.name}-return-undelivered"
    schema-migration = "${local.name}-schema-migration-undelivered"
    background-jobs  = module.background_jobs.undelivered_queue
  }
  distribution_id = module.web.distribution_id
  firewall        = one(module.firewall[*].name)
  thresholds      = var.alarm_thresholds
}

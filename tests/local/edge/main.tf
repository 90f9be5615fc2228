# The modules that face the world, before a load balancer with nothing behind it: what a whole environment makes of them takes
# minutes, this takes seconds. The environment's region is not us-east-1, so that the second provider is really another one.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

variable "modules" {
  type = object({ domain_name = string, firewall = bool, web_firewall = bool, generations = list(string) })
}

provider "aws" {
  region            = "eu-west-1"
  s3_use_path_style = true

  default_tags {
    tags = { Environment = "edge" }
  }
}

provider "aws" {
  alias             = "global"
  region            = "us-east-1"
  s3_use_path_style = true

  default_tags {
    tags = { Environment = "edge" }
  }
}

data "aws_subnets" "default" {}

resource "aws_lb" "this" {
  name               = "know-me-edge"
  load_balancer_type = "application"
  subnets            = data.aws_subnets.default.ids
}

resource "aws_lb_target_group" "this" {
  for_each = toset(["blue", "green"])

  name        = "know-me-edge-api-${each.key}"
  vpc_id      = one(distinct([for subnet in data.aws_subnet.default : subnet.vpc_id]))
  target_type = "ip"
  protocol    = "HTTP"
  port        = 8000
}

data "aws_subnet" "default" {
  for_each = toset(data.aws_subnets.default.ids)
  id       = each.value
}

resource "aws_lb_listener" "https" {
  count = var.modules.domain_name == null ? 0 : 1

  load_balancer_arn = aws_lb.this.arn
  protocol          = "HTTPS"
  port              = 8443
  certificate_arn   = module.dns.api_certificate_arn

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this["blue"].arn
  }
}

module "dns" {
  source    = "./modules/dns"
  providers = { aws = aws, aws.global = aws.global }

  environment = "edge"
  domain_name = var.modules.domain_name
  api         = { dns_name = aws_lb.this.dns_name, zone_id = aws_lb.this.zone_id }
  web         = module.web.distribution
}

module "web" {
  source = "./modules/web"

  name                    = "know-me-edge"
  domain_name             = module.dns.web_name
  certificate_arn         = module.dns.web_certificate_arn
  web_acl_arn             = one(module.web_firewall[*].arn)
  content_security_policy = "default-src 'self'"
  price_class             = "PriceClass_100"
  access_logs_bucket      = null
  noncurrent_version_days = 90
  deletion_protection     = false
}

module "firewall" {
  source = "./modules/firewall"
  count  = var.modules.firewall ? 1 : 0

  name               = "know-me-edge-api"
  scope              = "REGIONAL"
  hosts              = concat(module.dns.api_name[*], [aws_lb.this.dns_name])
  rate_limit         = 2000
  resource_arns      = { api = aws_lb.this.arn }
  log_retention_days = 30
  kms_key_arn        = null
}

module "web_firewall" {
  source    = "./modules/firewall"
  count     = var.modules.web_firewall ? 1 : 0
  providers = { aws = aws.global }

  name               = "know-me-edge-web"
  scope              = "CLOUDFRONT"
  hosts              = []
  rate_limit         = 2000
  resource_arns      = {}
  log_retention_days = 30
  kms_key_arn        = null
}

module "watching" {
  source = "./modules/watching"

  name                   = "know-me-edge"
  notification_topic_arn = "arn:aws:sns:eu-west-1:123456789012:know-me-edge-notifications"
  balancer               = aws_lb.this.arn_suffix
  target_groups          = { for name, group in aws_lb_target_group.this : name => group.arn_suffix }
  service                = { cluster = "know-me-edge", name = "know-me-edge-api" }
  databases              = { for generation in var.modules.generations : generation => { instance_id = "know-me-edge-${generation}", allocated_storage = 20 } }
  runbooks               = { migrate = "arn:aws:states:eu-west-1:123456789012:stateMachine:know-me-edge-migrate" }
  dead_letter_queues     = { return = "know-me-edge-return-undelivered" }
  distribution_id        = module.web.distribution_id
  firewall               = one(module.firewall[*].name)
  thresholds = {
    balancer_errors_percent       = 2
    target_errors_percent         = 5
    latency_seconds               = 2
    database_cpu_percent          = 85
    database_free_storage_percent = 15
    database_connections          = 300
  }
}

output "web" {
  value = { bucket = module.web.bucket, distribution_id = module.web.distribution_id, url = module.web.url }
}

output "alarm_arns" {
  value = module.watching.alarm_arns
}

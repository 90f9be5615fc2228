# Every choice that a variable offers, taken the other way than its default: what only some environments have.

log_retention_days = 365
nat_gateways       = "per-zone"
flow_logs          = true

database_multi_az = true

media_encryption    = "aws:kms"
media_public_static = false

api_certificate_arn    = "arn:aws:acm:us-east-1:123456789012:certificate/1"
api_domain_name        = "api.example.com"
api_access_logs_bucket = "access-logs"

domain_name  = "example.com"
web_firewall = true

delivery = {
  api = { repository = "know-me/api" }
  web = { repository = "know-me/web" }
}

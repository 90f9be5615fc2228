locals {
  # production has the bare names, every other environment a level of its own below the domain.
  level = var.environment == "production" ? "" : "${var.environment}."
  names = var.domain_name == null ? {} : {
    api = "api.${local.level}${var.domain_name}"
    web = "app.${local.level}${var.domain_name}"
  }
  targets = { api = var.api, web = var.web }

  certificates = merge(aws_acm_certificate.api, aws_acm_certificate.web)
}

data "aws_route53_zone" "this" {
  count = var.domain_name == null ? 0 : 1

  name         = var.domain_name
  private_zone = false
}

# The load balancer takes its certificate from its own region, CloudFront from us-east-1.
resource "aws_acm_certificate" "api" {
  for_each = { for what, name in local.names : what => name if what == "api" }

  domain_name       = each.value
  validation_method = "DNS"

  lifecycle {
    create_before_destroy = true # one that is in use cannot be deleted
  }
}

resource "aws_acm_certificate" "web" {
  provider = aws.global
  for_each = { for what, name in local.names : what => name if what == "web" }

  domain_name       = each.value
  validation_method = "DNS"

  lifecycle {
    create_before_destroy = true
  }
}

# They stay: AWS renews a certificate as long as it finds them.
resource "aws_route53_record" "validation" {
  for_each = local.names

  zone_id         = data.aws_route53_zone.this[0].zone_id
  name            = one(local.certificates[each.key].domain_validation_options).resource_record_name
  type            = one(local.certificates[each.key].domain_validation_options).resource_record_type
  records         = [one(local.certificates[each.key].domain_validation_options).resource_record_value]
  ttl             = 300
  allow_overwrite = true # it follows from account and name: what an earlier environment left is the same
}

resource "aws_acm_certificate_validation" "api" {
  for_each = aws_acm_certificate.api

  certificate_arn         = each.value.arn
  validation_record_fqdns = [aws_route53_record.validation[each.key].fqdn]
}

resource "aws_acm_certificate_validation" "web" {
  provider = aws.global
  for_each = aws_acm_certificate.web

  certificate_arn         = each.value.arn
  validation_record_fqdns = [aws_route53_record.validation[each.key].fqdn]
}

# IPv6 as well: CloudFront has it; the load balancer answers with nothing until it has it too.
resource "aws_route53_record" "this" {
  for_each = { for pair in setproduct(keys(local.names), ["A", "AAAA"]) : join("-", pair) => { what = pair[0], type = pair[1] } }

  zone_id = data.aws_route53_zone.this[0].zone_id
  name    = local.names[each.value.what]
  type    = each.value.type

  alias {
    name                   = local.targets[each.value.what].dns_name
    zone_id                = local.targets[each.value.what].zone_id
    evaluate_target_health = false # there is no other place to go to
  }
}

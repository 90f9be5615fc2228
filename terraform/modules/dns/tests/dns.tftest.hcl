mock_provider "aws" {
  source = "../../tests/aws"
}

mock_provider "aws" {
  alias  = "global"
  source = "../../tests/aws"
}

variables {
  environment = "staging"
  domain_name = "example.com"
  api         = { dns_name = "pretended.us-east-1.elb.amazonaws.com", zone_id = "Z35SXDOTRQ7X7K" }
  web         = { dns_name = "pretended.cloudfront.net", zone_id = "Z2FDTNDATAQYW2" }
}

run "an_environment_has_names_of_its_own_below_the_domain" {
  assert {
    condition     = output.api_name == "api.staging.example.com" && output.web_name == "app.staging.example.com"
    error_message = "Contracts, section 12."
  }

  assert {
    condition = { for key, record in aws_route53_record.this : key => "${record.name} ${record.type} ${record.alias[0].name}" } == {
      api-A    = "api.staging.example.com A pretended.us-east-1.elb.amazonaws.com"
      api-AAAA = "api.staging.example.com AAAA pretended.us-east-1.elb.amazonaws.com"
      web-A    = "app.staging.example.com A pretended.cloudfront.net"
      web-AAAA = "app.staging.example.com AAAA pretended.cloudfront.net"
    }
    error_message = "The names lead to the load balancer and to the distribution."
  }
}

run "production_has_the_bare_names" {
  variables {
    environment = "production"
  }

  assert {
    condition     = output.api_name == "api.example.com" && output.web_name == "app.example.com"
    error_message = "Contracts, section 12."
  }
}

run "certificates_are_validated_by_records_in_the_zone" {
  assert {
    condition     = aws_acm_certificate.api["api"].validation_method == "DNS" && aws_acm_certificate.web["web"].domain_name == "app.staging.example.com"
    error_message = "One certificate for each name."
  }

  assert {
    condition     = toset([for record in aws_route53_record.validation : "${record.type} ${one(record.records)}"]) == toset(["CNAME _2.acm-validations.aws."])
    error_message = "AWS finds the records that it asks for."
  }

  assert {
    condition     = output.api_certificate_arn != null && output.web_certificate_arn != null
    error_message = "What waits for a certificate gets a valid one."
  }
}

run "without_a_domain_there_is_nothing" {
  variables {
    domain_name = null
  }

  assert {
    condition     = output.api_name == null && output.web_name == null && output.api_certificate_arn == null && output.web_certificate_arn == null
    error_message = "The load balancer's and CloudFront's own names serve."
  }

  assert {
    condition     = length(aws_route53_record.this) + length(aws_route53_record.validation) + length(aws_acm_certificate.api) + length(aws_acm_certificate.web) == 0
    error_message = "No zone is looked for and no certificate asked for."
  }
}

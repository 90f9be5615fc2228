mock_provider "aws" {
  source = "../../tests/aws"
}

variables {
  name               = "know-me-staging"
  vpc_cidr           = "10.0.0.0/16"
  zone_count         = 2
  nat_gateways       = "single"
  flow_logs          = false
  log_retention_days = 30
  kms_key_arn        = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
}

run "zones_are_taken_in_alphabetical_order" {
  command = plan

  assert {
    condition     = keys(aws_subnet.database) == ["us-east-1a", "us-east-1b"]
    error_message = "The order of the API's answer must not move a subnet."
  }
}

run "subnets_do_not_overlap" {
  command = plan

  variables {
    zone_count = 3
  }

  assert {
    condition     = length(distinct(concat(values(aws_subnet.public)[*].cidr_block, values(aws_subnet.application)[*].cidr_block, values(aws_subnet.database)[*].cidr_block))) == 9
    error_message = "Every subnet has a range of its own."
  }
}

run "a_zone_more_renumbers_nothing" {
  command = plan

  variables {
    zone_count = 3
  }

  assert {
    condition     = aws_subnet.application["us-east-1a"].cidr_block == "10.0.64.0/20" && aws_subnet.database["us-east-1b"].cidr_block == "10.0.144.0/20"
    error_message = "Ranges do not depend on the number of zones."
  }
}

run "one_nat_gateway_serves_all_zones" {
  command = plan

  assert {
    condition     = length(aws_nat_gateway.this) == 1 && length(aws_route.nat) == 2
    error_message = "Every application subnet goes out through the one gateway."
  }
}

run "each_zone_has_its_own_nat_gateway_when_told" {
  command = plan

  variables {
    nat_gateways = "per-zone"
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 2
    error_message = "One gateway per zone."
  }
}

run "databases_have_no_way_out" {
  assert {
    condition     = alltrue([for route in aws_route.nat : route.route_table_id != aws_route_table.database.id]) && aws_route.internet.route_table_id != aws_route_table.database.id
    error_message = "The database subnets' route table must not have a default route."
  }
}

run "flow_logs_are_encrypted" {
  command = plan

  variables {
    flow_logs = true
  }

  assert {
    condition     = aws_cloudwatch_log_group.flow_logs[0].kms_key_id == var.kms_key_arn && aws_flow_log.rejected[0].traffic_type == "REJECT"
    error_message = "Flow logs go to an encrypted group."
  }
}

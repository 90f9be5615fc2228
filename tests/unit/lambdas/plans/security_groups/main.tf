# Groups and rules in every way to write them, of which make.py makes the plans beside it.
terraform {
  required_providers {
    aws = { source = "hashicorp/aws", version = "5.100.0" }
  }
}

provider "aws" {
  region                      = "us-east-1"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
}

resource "aws_vpc" "this" {
  cidr_block = "10.0.0.0/16"
}

resource "aws_default_security_group" "unused" {
  vpc_id = aws_vpc.this.id
}

resource "aws_ec2_managed_prefix_list" "storage" {
  name           = "storage"
  address_family = "IPv4"
  max_entries    = 2
}

module "database" {
  for_each = toset(["blue"])
  source   = "./modules/database"

  vpc_id         = aws_vpc.this.id
  prefix_list_id = aws_ec2_managed_prefix_list.storage.id
}

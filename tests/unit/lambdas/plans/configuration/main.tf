# A small environment, shaped as the real one, of which make.py makes the plans beside it.
terraform {
  required_providers {
    aws = { source = "hashicorp/aws", version = "5.100.0" }
  }
}

provider "aws" {
  region                      = "us-east-1"
  access_key                  = "test"
  secret_key                  = "test"
  s3_use_path_style           = true
  skip_credentials_validation = true
  skip_metadata_api_check     = true
}

variable "environment" {
  type    = string
  default = "staging"
}

variable "generations" {
  type = any
}

variable "safe" {
  type    = bool
  default = true
}

resource "aws_kms_key" "environment" {
  description             = "Data at rest"
  enable_key_rotation     = var.safe
  deletion_window_in_days = var.safe ? 30 : 7
}

resource "aws_route53_zone" "this" {
  name = "example.com"
}

module "database" {
  source   = "./modules/database"
  for_each = var.generations.database.all

  name        = "know-me-${var.environment}-${each.key}"
  safe        = var.safe
  kms_key_arn = aws_kms_key.environment.arn
}

module "media" {
  source   = "./modules/media"
  for_each = var.generations.media.all

  name = "know-me-${var.environment}-media-${each.key}-123456789012"
  safe = var.safe
}

resource "aws_s3_bucket" "web" {
  bucket = "know-me-${var.environment}-web-123456789012"
}

output "databases" {
  value = [for database in module.database : database.identifier]
}

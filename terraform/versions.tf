terraform {
  required_version = ">= 1.11.0" # write-only arguments

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

provider "aws" {
  s3_use_path_style = var.s3_use_path_style

  default_tags {
    tags = {
      Project     = "know-me"
      Environment = var.environment
      ManagedBy   = "terraform"
    }
  }
}

# What AWS keeps in one region for the whole world: certificates and firewalls of CloudFront.
provider "aws" {
  alias             = "global"
  region            = "us-east-1"
  s3_use_path_style = var.s3_use_path_style

  default_tags {
    tags = {
      Project     = "know-me"
      Environment = var.environment
      ManagedBy   = "terraform"
    }
  }
}

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

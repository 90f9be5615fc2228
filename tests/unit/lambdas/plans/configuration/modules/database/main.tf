variable "name" {
  type = string
}

variable "safe" {
  type = bool
}

variable "kms_key_arn" {
  type = string
}

resource "aws_cloudwatch_log_group" "export" {
  name              = "/aws/rds/instance/${var.name}/postgresql"
  retention_in_days = var.safe ? 90 : 30
}

resource "aws_db_instance" "this" {
  identifier              = var.name
  engine                  = "postgres"
  engine_version          = "17.4"
  instance_class          = "db.t4g.micro"
  allocated_storage       = 20
  db_name                 = "know_me"
  username                = "postgres"
  password                = "not-a-secret"
  storage_encrypted       = true
  kms_key_id              = var.kms_key_arn
  deletion_protection     = var.safe
  backup_retention_period = var.safe ? 14 : 1
  skip_final_snapshot     = true
  apply_immediately       = true
}

output "identifier" {
  value = aws_db_instance.this.identifier
}

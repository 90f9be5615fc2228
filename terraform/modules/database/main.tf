locals {
  name  = "know-me-${var.environment}-${var.generation}"
  major = split(".", var.engine_version)[0]
  port  = 5432

  application_role = "know_me"
}

resource "aws_db_subnet_group" "this" {
  name        = local.name
  description = "Database subnets of ${local.name}"
  subnet_ids  = var.subnet_ids
}

resource "aws_db_parameter_group" "this" {
  # The family is part of the name: a new major version needs a new group while the old one is still in use.
  name        = "${local.name}-postgres${local.major}"
  description = "Settings of ${local.name}"
  family      = "postgres${local.major}"

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_security_group" "this" {
  name        = "${local.name}-database"
  description = "Database ${local.name}"
  vpc_id      = var.vpc_id

  tags = { Name = "${local.name}-database" }
}

# Each client is let in here and let out there, so a generation brings all that is needed to reach it.
resource "aws_vpc_security_group_ingress_rule" "client" {
  for_each = var.client_security_group_ids

  security_group_id            = aws_security_group.this.id
  description                  = "PostgreSQL from ${each.key}"
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
}

resource "aws_vpc_security_group_egress_rule" "client" {
  for_each = var.client_security_group_ids

  security_group_id            = each.value
  description                  = "PostgreSQL to ${local.name}"
  referenced_security_group_id = aws_security_group.this.id
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
}

# RDS would make these groups itself, without an end to what they keep.
resource "aws_cloudwatch_log_group" "export" {
  #checkov:skip=CKV_AWS_338:How long logs are kept is each environment's choice (log_retention_days); they name people, so not longer than they help

  for_each = toset(["postgresql", "upgrade"])

  name              = "/aws/rds/instance/${local.name}/${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

# Names of generations come back after years; names of final snapshots must not.
resource "terraform_data" "incarnation" {}

resource "aws_db_instance" "this" {
  #checkov:skip=CKV_AWS_118:Performance Insights and the instance's own metrics tell load and shortage; figures of the operating system would need one more role and log group
  #checkov:skip=CKV_AWS_157:A standby doubles the price, so it is each environment's choice: database_multi_az
  #checkov:skip=CKV_AWS_161:The app connects with a password that Secrets Manager hands to its tasks; tokens last 15 minutes and Django keeps connections longer

  identifier = local.name

  engine                     = "postgres"
  engine_version             = var.engine_version
  auto_minor_version_upgrade = true
  instance_class             = var.instance_class
  multi_az                   = var.multi_az
  parameter_group_name       = aws_db_parameter_group.this.name
  apply_immediately          = var.apply_immediately

  storage_type      = "gp3"
  allocated_storage = var.allocated_storage
  storage_encrypted = true
  kms_key_id        = var.kms_key_arn

  db_name                       = var.database_name
  port                          = local.port
  username                      = "postgres"
  manage_master_user_password   = true
  master_user_secret_kms_key_id = var.kms_key_arn

  db_subnet_group_name   = aws_db_subnet_group.this.name
  vpc_security_group_ids = [aws_security_group.this.id]
  publicly_accessible    = false
  ca_cert_identifier     = var.ca_certificate

  backup_retention_period   = var.backup_retention_days
  copy_tags_to_snapshot     = true
  delete_automated_backups  = false
  deletion_protection       = var.deletion_protection
  skip_final_snapshot       = var.skip_final_snapshot
  final_snapshot_identifier = "${local.name}-final-${substr(terraform_data.incarnation.id, 0, 8)}"

  enabled_cloudwatch_logs_exports       = ["postgresql", "upgrade"]
  performance_insights_enabled          = true
  performance_insights_kms_key_id       = var.kms_key_arn
  performance_insights_retention_period = 7

  depends_on = [aws_cloudwatch_log_group.export]
}

output "address" {
  description = "Host name of the endpoint."
  value       = aws_db_instance.this.address
}

output "port" {
  description = "Port of the endpoint."
  value       = aws_db_instance.this.port
}

output "database_name" {
  description = "Name of the app's database."
  value       = aws_db_instance.this.db_name
}

output "master_secret_arn" {
  description = "Secret of the master user, which RDS manages."
  value       = aws_db_instance.this.master_user_secret[0].secret_arn
}

output "manifest" {
  description = "This generation in the manifest."
  value = {
    generation               = var.generation
    instance_id              = aws_db_instance.this.identifier
    endpoint                 = aws_db_instance.this.address
    port                     = aws_db_instance.this.port
    database_name            = aws_db_instance.this.db_name
    engine_version           = aws_db_instance.this.engine_version_actual
    allocated_storage        = aws_db_instance.this.allocated_storage
    master_secret_arn        = aws_db_instance.this.master_user_secret[0].secret_arn
    application_secret_arn   = var.application_secret_arn
    application_secret_label = var.generation
    application_role         = local.application_role
    subnet_ids               = var.subnet_ids
    security_group_ids       = [aws_security_group.this.id]
  }
}

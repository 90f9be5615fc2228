output "vpc_id" {
  description = "The VPC."
  value       = aws_vpc.this.id
}

output "public_subnet_ids" {
  description = "Subnets of the load balancer, one per zone."
  value       = [for zone in local.zones : aws_subnet.public[zone].id]

  depends_on = [aws_route_table_association.public, aws_route.internet]
}

output "application_subnet_ids" {
  description = "Subnets of tasks and jobs, one per zone."
  value       = [for zone in local.zones : aws_subnet.application[zone].id]

  # What starts here needs its way out first.
  depends_on = [aws_route_table_association.application, aws_route.nat]
}

output "database_subnet_ids" {
  description = "Subnets of the databases, one per zone."
  value       = [for zone in local.zones : aws_subnet.database[zone].id]
}

package main

// The images that tests run in Docker. docker-compose.yml pins the same ones, and a test compares them.
const (
	postgresImage = "postgres:17.6-alpine"
	rabbitmqImage = "rabbitmq:4.1.3-management-alpine"
)

package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quadrille-dev/quadrille/services/topology"
)

//go:generate sh -c "go run . topology definitions >../../deploy/rabbitmq/definitions.json"

// developmentPassword is everybody's, until somebody says otherwise.
const developmentPassword = "quadrille"

const definitionsHelp = `Write users, and the least that each of them needs, in the format that RabbitMQ imports: at its start with
load_definitions, and at any time with rabbitmqctl import_definitions. Asks no broker.

The password of a user is read from RABBITMQ_PASSWORD_ and its name: RABBITMQ_PASSWORD_ORDER, _INVENTORY, _PAYMENT,
_SHIPPING, _TOPOLOGY, _MONITOR, _OPERATOR. Only hashes are written, which keep a password secret if it cannot be guessed.
Whoever has none gets the one for development, "` + developmentPassword + `".`

func definitionsCommand() *cobra.Command {
	var vhost string
	cmd := &cobra.Command{
		Use:   "definitions",
		Short: "Write the users of the broker and their permissions, as JSON",
		Long:  definitionsHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := topology.All(nil)
			if err != nil {
				return err
			}
			var known []string
			definitions := topology.DefinitionsOf(all, vhost, func(user string) string {
				if password := os.Getenv("RABBITMQ_PASSWORD_" + strings.ToUpper(user)); password != "" {
					return password
				}
				known = append(known, user)
				return developmentPassword
			})
			out, err := definitions.JSON()
			if err != nil {
				return err
			}
			if len(known) > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "quadrille: the password is the one for development: %s\n", strings.Join(known, ", "))
			}
			_, err = cmd.OutOrStdout().Write(out)
			return err
		},
	}
	cmd.Flags().StringVar(&vhost, "vhost", "/", "the virtual host to which the permissions apply")
	return cmd
}

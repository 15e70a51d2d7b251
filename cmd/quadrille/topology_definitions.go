package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quadrille-dev/quadrille/services/topology"
)

//go:generate sh -c "go run . topology definitions >../../deploy/rabbitmq/definitions.json"

// developmentPassword is the password of every user for which the environment has none.
const developmentPassword = "quadrille"

const definitionsHelp = `Print the broker's users, each with the least permissions that it needs, in the format that RabbitMQ imports: at startup
with load_definitions, and at any time with rabbitmqctl import_definitions. The command does not connect to a broker.

The password of a user comes from RABBITMQ_PASSWORD_ and the user's name: RABBITMQ_PASSWORD_ORDER, _INVENTORY, _PAYMENT,
_SHIPPING, _TOPOLOGY, _MONITOR, _OPERATOR. Users without one get the development password, "` + developmentPassword + `".
The output contains only hashes of the passwords, which protect a password that cannot be guessed.`

func topologyDefinitionsCommand() *cobra.Command {
	var vhost string
	cmd := &cobra.Command{
		Use:   "definitions",
		Short: "Print the users of the broker and their permissions, as JSON",
		Long:  definitionsHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := topology.All(nil)
			if err != nil {
				return err
			}
			var guessable []string
			definitions := topology.NewDefinitions(all, vhost, func(user string) string {
				if password := os.Getenv("RABBITMQ_PASSWORD_" + strings.ToUpper(user)); password != "" {
					return password
				}
				guessable = append(guessable, user)
				return developmentPassword
			})
			out, err := definitions.JSON()
			if err != nil {
				return err
			}
			if len(guessable) > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "quadrille: these users have the development password: %s\n", strings.Join(guessable, ", "))
			}
			_, err = cmd.OutOrStdout().Write(out)
			return err
		},
	}
	cmd.Flags().StringVar(&vhost, "vhost", "/", "the virtual host to which the permissions apply")
	return cmd
}

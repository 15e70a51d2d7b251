package topology

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"

	"github.com/quadrille-dev/quadrille/pkg/events/rabbitmq"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// Who connects to the broker beside the services.
const (
	TopologyUser = "topology" // the job that declares everything
	MonitorUser  = "monitor"  // sees how much waits where, in the management UI and through the ledger
	OperatorUser = "operator" // a person who also looks at dead letters
)

// Definitions are users, and what they may do in one virtual host, in the format that RabbitMQ imports. Nobody
// administers the broker from outside: that is what rabbitmqctl on its own machine is for.
type Definitions struct {
	VHosts      []vhost      `json:"vhosts"`
	Users       []user       `json:"users"`
	Permissions []permission `json:"permissions"`
}

type vhost struct {
	Name string `json:"name"`
}

type user struct {
	Name             string   `json:"name"`
	PasswordHash     string   `json:"password_hash"`
	HashingAlgorithm string   `json:"hashing_algorithm"`
	Tags             []string `json:"tags"`
}

type permission struct {
	User  string `json:"user"`
	VHost string `json:"vhost"`
	rabbitmq.Permissions
}

// DefinitionsOf gives every service, and those beside them, a user of its own, whose password is password(name), with
// the least that suffices. The same arguments give the same definitions.
func NewDefinitions(all []transport.Topology, inVHost string, password func(user string) string) Definitions {
	d := Definitions{VHosts: []vhost{{inVHost}}}
	add := func(name string, may rabbitmq.Permissions, tags ...string) {
		d.Users = append(d.Users, user{
			Name: name, PasswordHash: hash(name, password(name)), HashingAlgorithm: "rabbit_password_hashing_sha256",
			Tags: append([]string{}, tags...),
		})
		d.Permissions = append(d.Permissions, permission{name, inVHost, may})
	}
	for _, t := range all {
		add(t.Service, rabbitmq.ServicePermissions(t.Service))
	}
	add(TopologyUser, rabbitmq.TopologyPermissions(all...))
	// The tag lets both into the management UI, to look at everything and to change nothing.
	add(MonitorUser, rabbitmq.Permissions{}, "monitoring")
	add(OperatorUser, rabbitmq.OperatorPermissions(all...), "monitoring")
	return d
}

// JSON is what goes into the file.
func (d Definitions) JSON() ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(d); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// hash is RabbitMQ's: four bytes of salt, and SHA-256 of salt and password. The salt is taken from user and password,
// so that the file changes only if they do. One round of SHA-256 makes no guessable password safe, whatever the salt.
func hash(user, password string) string {
	salt := sha256.Sum256([]byte(user + "\x00" + password))
	return salted(salt[:4], password)
}

func salted(salt []byte, password string) string {
	sum := sha256.Sum256(slices.Concat(salt, []byte(password)))
	return base64.StdEncoding.EncodeToString(slices.Concat(salt, sum[:]))
}

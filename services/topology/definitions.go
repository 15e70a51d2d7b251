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

// The users of the broker beside the services.
const (
	TopologyUser = "topology" // the job that declares the topology
	MonitorUser  = "monitor"  // reads the sizes of queues, in the management UI and for the reconciliation
	OperatorUser = "operator" // a person who also handles dead letters
)

// Definitions are users and their permissions in one virtual host, in the format that RabbitMQ imports. There is no
// administrator among them: use rabbitmqctl on the broker's machine.
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

// NewDefinitions returns a user for every service, and the users beside them, each with the least permissions that it needs
// and the password password(name). The same arguments give the same definitions.
func NewDefinitions(all []transport.Topology, inVHost string, password func(user string) string) Definitions {
	d := Definitions{VHosts: []vhost{{inVHost}}}
	add := func(name string, permissions rabbitmq.Permissions, tags ...string) {
		d.Users = append(d.Users, user{
			Name: name, PasswordHash: hash(name, password(name)), HashingAlgorithm: "rabbit_password_hashing_sha256",
			Tags: append([]string{}, tags...),
		})
		d.Permissions = append(d.Permissions, permission{name, inVHost, permissions})
	}
	for _, t := range all {
		add(t.Service, rabbitmq.ServicePermissions(t.Service))
	}
	add(TopologyUser, rabbitmq.TopologyPermissions(all...))
	// The tag lets both read everything in the management UI, and change nothing.
	add(MonitorUser, rabbitmq.Permissions{}, "monitoring")
	add(OperatorUser, rabbitmq.OperatorPermissions(all...), "monitoring")
	return d
}

// JSON returns the content of the file.
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

// hash returns RabbitMQ's password hash: four bytes of salt, and SHA-256 of salt and password. The salt depends on user and
// password only, so that the file changes only if they do. One round of SHA-256 protects no guessable password, with any salt.
func hash(user, password string) string {
	salt := sha256.Sum256([]byte(user + "\x00" + password))
	return salted(salt[:4], password)
}

func salted(salt []byte, password string) string {
	sum := sha256.Sum256(slices.Concat(salt, []byte(password)))
	return base64.StdEncoding.EncodeToString(slices.Concat(salt, sum[:]))
}

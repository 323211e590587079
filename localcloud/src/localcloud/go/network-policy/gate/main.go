// Policy-gate is a container network plugin, the last of its chain: a new pod starts once the
// policy engine of its node has made the pod's rules. Before, nothing passes; without this plugin a
// pod would find its first connections delayed until TCP, or a look-up in DNS, tries again.
//
// Where the engine does not answer, the pod starts all the same, and waits for its rules itself.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

const (
	socket = "/run/network-policy.sock"
	// How long a pod's start may be delayed at most.
	patience = 5 * time.Second
	// Version of the plugins' protocol that this plugin speaks.
	version = "1.0.0"
)

// configuration is the part of what the container runtime says that matters here.
type configuration struct {
	Previous json.RawMessage `json:"prevResult"`
}

type result struct {
	IPs []struct {
		Address string `json:"address"`
	} `json:"ips"`
}

func main() {
	switch os.Getenv("CNI_COMMAND") {
	case "VERSION":
		fmt.Printf(`{"cniVersion": %q, "supportedVersions": [%q]}`, version, version)
	case "ADD":
		if err := add(os.Stdin, os.Stdout, os.Getenv("CNI_ARGS")); err != nil {
			fmt.Printf(`{"cniVersion": %q, "code": 100, "msg": %q}`, version, err.Error())
			os.Exit(1)
		}
	}
}

// add waits for the rules of a new pod and hands on what the plugins before it have done.
func add(in io.Reader, out io.Writer, arguments string) error {
	var given configuration
	if err := json.NewDecoder(in).Decode(&given); err != nil {
		return fmt.Errorf("the configuration is not JSON: %w", err)
	}
	var before result
	if err := json.Unmarshal(given.Previous, &before); err != nil || len(before.IPs) == 0 {
		return fmt.Errorf("no plugin before this one gave the pod an address: %s", given.Previous)
	}
	address, _, _ := strings.Cut(before.IPs[0].Address, "/")
	if err := wait(address, pod(arguments)); err != nil {
		fmt.Fprintf(os.Stderr, "a pod starts without its rules: %v\n", err)
	}
	_, err := out.Write(given.Previous)
	return err
}

// pod returns what the arguments, as in "K8S_POD_NAME=a;K8S_POD_UID=b", say of the pod.
func pod(arguments string) map[string]string {
	found := map[string]string{}
	for _, pair := range strings.Split(arguments, ";") {
		name, value, _ := strings.Cut(pair, "=")
		found[strings.TrimPrefix(name, "K8S_POD_")] = value
	}
	return found
}

// wait asks the engine for the rules of a pod and returns when they are there.
func wait(address string, pod map[string]string) error {
	connection, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(connection, "%s %s %s %s\n", pod["NAMESPACE"], pod["NAME"], pod["UID"], address); err != nil {
		return err
	}
	answer, err := io.ReadAll(connection)
	if err == nil && string(answer) != "ready\n" {
		err = fmt.Errorf("the policy engine said %q", answer)
	}
	return err
}

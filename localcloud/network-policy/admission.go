package main

import (
	"context"
	"fmt"
	"log"
	"os/exec"
	"strings"
	"time"

	"github.com/cloudnativelabs/kube-router/v2/pkg/utils"
	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"
)

const (
	// What the controller's rules on what a pod sends begin with.
	fromPod = "-A KUBE-ROUTER-FORWARD -s "
	// How often we look. Pods wait for it; as long as nothing changes, it costs nothing.
	period = 100 * time.Millisecond
)

// admission keeps an ipset of the addresses of the node's pods for which the controller has made its rules.
//
// The controller makes them when the apiserver tells it the address, which is up to a second after the pod began to run.
// Its own mark is no proof of them: the rules of the pod at the other end set it as well.
type admission struct {
	set      string
	node     string
	pods     cache.Store
	rules    utils.IPTablesHandler
	admitted map[string]bool
}

// run goes on until it is told to stop. The set stays.
func (a *admission) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := a.update(ctx); err != nil {
			log.Printf("%s is not what it should be: %v", a.set, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(period):
		}
	}
}

func (a *admission) update(ctx context.Context) error {
	if a.admitted == nil { // who ran before us may have left some
		listed, err := exec.CommandContext(ctx, "ipset", "save", a.set).Output()
		if err != nil {
			return err
		}
		a.admitted = after(string(listed), "add "+a.set+" ")
	}
	there := a.addresses()
	for address := range a.admitted {
		if !there[address] {
			if err := a.change(ctx, "del", address); err != nil {
				return err
			}
			delete(a.admitted, address)
		}
	}
	if len(there) == len(a.admitted) {
		return nil
	}
	rules, err := a.rules.List("filter", "KUBE-ROUTER-FORWARD")
	if err != nil {
		return err
	}
	for rule := range after(strings.Join(rules, "\n"), fromPod) {
		if address := strings.TrimSuffix(rule, "/32"); there[address] && !a.admitted[address] {
			if err := a.change(ctx, "add", address); err != nil {
				return err
			}
			a.admitted[address] = true
		}
	}
	return nil
}

// addresses returns those of the node's pods that the controller makes rules for.
func (a *admission) addresses() map[string]bool {
	found := map[string]bool{}
	for _, item := range a.pods.List() {
		pod := item.(*v1.Pod)
		ended := pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed
		if pod.Spec.NodeName == a.node && !pod.Spec.HostNetwork && !ended && pod.Status.PodIP != "" {
			found[pod.Status.PodIP] = true
		}
	}
	return found
}

func (a *admission) change(ctx context.Context, command, address string) error {
	if said, err := exec.CommandContext(ctx, "ipset", "-exist", command, a.set, address).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", command, address, err, said)
	}
	return nil
}

// after returns the words that follow a beginning of lines.
func after(lines, beginning string) map[string]bool {
	found := map[string]bool{}
	for _, line := range strings.Split(lines, "\n") {
		if rest, is := strings.CutPrefix(line, beginning); is {
			word, _, _ := strings.Cut(rest, " ")
			found[word] = true
		}
	}
	return found
}

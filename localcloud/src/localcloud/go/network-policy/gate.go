package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/cloudnativelabs/kube-router/v2/pkg/controllers/netpol"
	"github.com/cloudnativelabs/kube-router/v2/pkg/utils"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

const (
	// Where the node's container network plugin (package gate) tells of a new pod and waits.
	socket = "/run/network-policy.sock"
	// How long it waits at most; then the pod starts without its rules, and nothing of it passes.
	patience = 5 * time.Second
	// How often to look whether a pod's rules are there: a look takes some milliseconds.
	look = 20 * time.Millisecond
	// The chain with a rule for each pod, as kube-router names it.
	chain = "KUBE-ROUTER-FORWARD"
)

// gate makes a new pod's rules before the pod starts. The API server has the pod's address only
// when the pod runs; the network plugin has it before.
type gate struct {
	nodeAddress string
	mutex       sync.Mutex
	addresses   map[types.UID]string
}

// essence keeps of a pod what policies look at, since each node holds all pods of the cluster, and
// adds the address that the plugin told.
func (g *gate) essence(object any) (any, error) {
	pod, is := object.(*core.Pod)
	if !is {
		return object, nil
	}
	kept := &core.Pod{}
	kept.Name, kept.Namespace, kept.UID = pod.Name, pod.Namespace, pod.UID
	kept.ResourceVersion, kept.Labels = pod.ResourceVersion, pod.Labels
	kept.Spec = core.PodSpec{NodeName: pod.Spec.NodeName, HostNetwork: pod.Spec.HostNetwork}
	for _, container := range pod.Spec.Containers {
		kept.Spec.Containers = append(kept.Spec.Containers, core.Container{Name: container.Name, Ports: container.Ports})
	}
	kept.Status = core.PodStatus{
		Phase: pod.Status.Phase, HostIP: pod.Status.HostIP, PodIP: pod.Status.PodIP, PodIPs: pod.Status.PodIPs,
	}
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if address, known := g.addresses[pod.UID]; known {
		kept.Status.HostIP, kept.Status.PodIP = g.nodeAddress, address
		kept.Status.PodIPs = []core.PodIP{{IP: address}}
	}
	return kept, nil
}

// forget drops what was told of a pod that is gone.
func (g *gate) forget(object any) {
	if last, is := object.(cache.DeletedFinalStateUnknown); is {
		object = last.Obj
	}
	if pod, is := object.(*core.Pod); is {
		g.mutex.Lock()
		defer g.mutex.Unlock()
		delete(g.addresses, pod.UID)
	}
}

// serve answers the node's network plugin until the context ends.
func (g *gate) serve(
	ctx context.Context, pods cache.Indexer, tables utils.IPTablesHandler, controller *netpol.NetworkPolicyController,
) error {
	if err := os.RemoveAll(socket); err != nil { // of the process before
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	go func() {
		<-ctx.Done()
		listener.Close()
	}()
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				if err := g.admit(connection, pods, tables, controller); err != nil {
					klog.Warningf("a pod starts without its rules: %v", err)
				}
			}()
		}
	}()
	return nil
}

// admit reads of one pod and answers when its rules are there.
func (g *gate) admit(
	connection net.Conn, pods cache.Indexer, tables utils.IPTablesHandler, controller *netpol.NetworkPolicyController,
) error {
	deadline := time.Now().Add(patience)
	if err := connection.SetDeadline(deadline); err != nil {
		return err
	}
	var namespace, name, uid, address string
	if _, err := fmt.Fscanln(connection, &namespace, &name, &uid, &address); err != nil {
		return err
	}
	g.mutex.Lock()
	g.addresses[types.UID(uid)] = address
	g.mutex.Unlock()
	for ; time.Now().Before(deadline); time.Sleep(look) {
		// a pod that is not known yet gets its address, and its rules, as soon as it is
		if object, known, err := pods.GetByKey(namespace + "/" + name); err == nil && known {
			pod := object.(*core.Pod)
			// another one of that name may be on its way out
			if string(pod.UID) == uid && pod.Status.PodIP != address {
				addressed, _ := g.essence(pod)
				if err := pods.Update(addressed); err != nil {
					return err
				}
				controller.RequestFullSync()
			}
		}
		// an error says that there is no such chain yet: this program has just started
		if rules, err := tables.List("filter", chain); err == nil && there(rules, namespace, name, address) {
			_, err := fmt.Fprintln(connection, "ready")
			return err
		}
	}
	return fmt.Errorf("%s/%s with address %s has none after %v", namespace, name, address, patience)
}

// there tells whether the rules have one for traffic from a pod, which are made together with all others of it.
func there(rules []string, namespace, name, address string) bool {
	who := fmt.Sprintf("from POD name:%s namespace: %s ", name, namespace)
	for _, rule := range rules {
		if strings.Contains(rule, "-s "+address+"/32 ") && strings.Contains(rule, who) {
			return true
		}
	}
	return false
}

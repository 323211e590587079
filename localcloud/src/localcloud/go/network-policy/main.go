// Network-policy enforces a cluster's NetworkPolicies on one node: kube-router's policy controller
// alone, without its router and service proxy.
package main

import (
	"context"
	"flag"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cloudnativelabs/kube-router/v2/pkg/controllers/netpol"
	"github.com/cloudnativelabs/kube-router/v2/pkg/healthcheck"
	"github.com/cloudnativelabs/kube-router/v2/pkg/options"
	"github.com/cloudnativelabs/kube-router/v2/pkg/utils"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

const (
	// How often to look whether the node is registered; nothing is enforced before.
	poll = 200 * time.Millisecond
	// How often all rules are written without a cause: this is how they come back to their
	// place in front of kube-proxy's.
	syncPeriod = time.Minute
	// The last of the chains that kube-proxy jumps to, in the order in which it adds the jumps.
	lastJump = "KUBE-PROXY-FIREWALL"
	// Percent of garbage on top of what is in use: memory counts, a node has one of these.
	garbage = 25
)

func main() {
	klog.InitFlags(nil)
	kubeconfig := flag.String("kubeconfig", "", "how to reach the API server")
	node := flag.String("node", "", "name of the node that this is")
	services := flag.String("services", "", "range of ClusterIPs")
	flag.Parse()
	debug.SetGCPercent(garbage)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *kubeconfig, *node, *services); err != nil && ctx.Err() == nil {
		klog.Exitf("network policies are not enforced on %s from now on, what is blocked stays so: %v", *node, err)
	}
}

func run(ctx context.Context, kubeconfig, node, services string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.ContentType = "application/vnd.kubernetes.protobuf"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	address, err := registered(ctx, client, node)
	if err != nil {
		return err
	}
	gate := &gate{nodeAddress: address, addresses: map[types.UID]string{}}
	watched := watch(client)
	if err := watched.start(ctx, gate); err != nil {
		return err
	}

	facts := options.NewKubeRouterConfig()
	facts.EnableIPv4 = true
	facts.HostnameOverride = node
	facts.ClusterIPCIDRs = []string{services}
	facts.IPTablesSyncPeriod = syncPeriod
	tables, sets, err := netpol.NewIPTablesHandlers(facts)
	if err != nil {
		return err
	}
	if err := afterServices(ctx, tables[core.IPv4Protocol]); err != nil {
		return err
	}
	controller, err := netpol.NewNetworkPolicyController(
		client, facts, watched.pods, watched.policies, watched.namespaces, &sync.Mutex{}, nil, tables, sets)
	if err != nil {
		return err
	}
	if err := watched.tell(controller); err != nil {
		return err
	}
	if err := gate.serve(ctx, watched.pods.GetIndexer(), tables[core.IPv4Protocol], controller); err != nil {
		return err
	}

	// it tells that it lives into a channel and waits for a reader; supervisord sees that itself
	beats := make(chan *healthcheck.ControllerHeartbeat)
	go func() {
		for range beats {
		}
	}()
	var group sync.WaitGroup
	group.Add(1)
	controller.Run(beats, ctx.Done(), &group)
	group.Wait()
	return nil
}

// afterServices waits until kube-proxy has put its jumps into the chains of the filter table. The
// controller moves its own to the front and deletes the old one by its number: a jump that
// kube-proxy adds in between would be deleted instead, and kube-proxy looks for it after an hour.
func afterServices(ctx context.Context, tables utils.IPTablesHandler) error {
	said := false
	return wait.PollUntilContextCancel(ctx, poll, true, func(context.Context) (bool, error) {
		rules, err := tables.List("filter", "FORWARD")
		if err != nil {
			return false, err
		}
		for _, rule := range rules {
			if strings.HasSuffix(rule, "-j "+lastJump) {
				return true, nil
			}
		}
		if !said {
			said = true
			klog.Info("waiting for kube-proxy; until then the node forwards nothing")
		}
		return false, nil
	})
}

// registered waits until the API server knows the node and its address, which it returns. This
// program's own right to read is there then, too.
func registered(ctx context.Context, client kubernetes.Interface, name string) (found string, err error) {
	said := ""
	err = wait.PollUntilContextCancel(ctx, poll, true, func(ctx context.Context) (bool, error) {
		node, err := client.CoreV1().Nodes().Get(ctx, name, meta.GetOptions{})
		if err != nil {
			if err.Error() != said {
				said = err.Error()
				klog.Infof("waiting for the node %s: %v", name, err)
			}
			return false, nil
		}
		for _, address := range node.Status.Addresses {
			if address.Type == core.NodeInternalIP {
				found = address.Address
			}
		}
		return found != "", nil
	})
	return found, err
}

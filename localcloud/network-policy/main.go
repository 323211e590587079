// Enforces the NetworkPolicies of a cluster on one node: kube-router's policy controller, nothing else of it, and beside
// it what tells the node which pods it has made rules for.
package main

import (
	"context"
	"flag"
	"log"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/cloudnativelabs/kube-router/v2/pkg/controllers/netpol"
	"github.com/cloudnativelabs/kube-router/v2/pkg/healthcheck"
	"github.com/cloudnativelabs/kube-router/v2/pkg/options"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	config := options.NewKubeRouterConfig()
	flag.StringVar(&config.Kubeconfig, "kubeconfig", "", "file with the credentials")
	flag.StringVar(&config.HostnameOverride, "node", "", "name of the node")
	services := flag.String("services", "", "addresses of the cluster's Services, as the apiserver has them")
	set := flag.String("admitted", "", "ipset of the addresses of pods that the node lets through")
	flag.Parse()
	config.ClusterIPCIDRs = []string{*services}
	config.EnableIPv4 = true // the only addresses that pods have

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := enforce(ctx, config, *set); err != nil {
		log.Fatal(err)
	}
}

// enforce keeps the node's rules as the cluster's policies want them, and a set of the addresses of the pods that have
// some, until it is told to stop. Rules and set stay.
func enforce(ctx context.Context, config *options.KubeRouterConfig, set string) error {
	credentials, err := clientcmd.BuildConfigFromFlags("", config.Kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(credentials)
	if err != nil {
		return err
	}
	if err := waitForNode(ctx, client, config.HostnameOverride); err != nil {
		return nil // told to stop
	}
	iptables, sets, err := netpol.NewIPTablesHandlers(config)
	if err != nil {
		return err
	}

	watched := informers.NewSharedInformerFactory(client, 0)
	pods := watched.Core().V1().Pods().Informer()
	namespaces := watched.Core().V1().Namespaces().Informer()
	policies := watched.Networking().V1().NetworkPolicies().Informer()
	controller, err := netpol.NewNetworkPolicyController(
		client, config, pods, policies, namespaces, &sync.Mutex{}, nil, iptables, sets)
	if err != nil {
		return err
	}
	watched.Start(ctx.Done())
	// Rules made of half of the cluster would cut connections that are allowed.
	if !cache.WaitForCacheSync(ctx.Done(), pods.HasSynced, namespaces.HasSynced, policies.HasSynced) {
		return nil // told to stop
	}
	for informer, handler := range map[cache.SharedIndexInformer]cache.ResourceEventHandler{
		pods:       controller.PodEventHandler,
		namespaces: controller.NamespaceEventHandler,
		policies:   controller.NetworkPolicyEventHandler,
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return err
		}
	}

	// Each sync says that it lives. Nobody asks: the node starts again what ends.
	heartbeats := make(chan *healthcheck.ControllerHeartbeat)
	go func() {
		for range heartbeats {
		}
	}()
	admitted := admission{set: set, node: config.HostnameOverride, pods: pods.GetStore(), rules: iptables[v1.IPv4Protocol]}
	go admitted.run(ctx)

	var running sync.WaitGroup
	running.Add(1)
	controller.Run(heartbeats, ctx.Done(), &running)
	running.Wait()
	return nil
}

// waitForNode waits until the apiserver tells us the node's address, which the controller asks for once. We start together
// with it and with the kubelet, and before our role is there.
func waitForNode(ctx context.Context, client kubernetes.Interface, name string) error {
	return wait.PollUntilContextCancel(ctx, 200*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		node, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, nil
		}
		for _, address := range node.Status.Addresses {
			if address.Type == v1.NodeInternalIP {
				return true, nil
			}
		}
		return false, nil
	})
}

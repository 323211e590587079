package main

import (
	"context"
	"errors"

	"github.com/cloudnativelabs/kube-router/v2/pkg/controllers/netpol"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	networkinginformers "k8s.io/client-go/informers/networking/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// watched is what policies are made of: the cluster's pods, namespaces and policies.
type watched struct {
	pods, namespaces, policies cache.SharedIndexInformer
}

func watch(client kubernetes.Interface) watched {
	all, none := meta.NamespaceAll, cache.Indexers{}
	return watched{
		pods:       coreinformers.NewPodInformer(client, all, 0, none),
		namespaces: coreinformers.NewNamespaceInformer(client, 0, none),
		policies:   networkinginformers.NewNetworkPolicyInformer(client, all, 0, none),
	}
}

// start begins to watch and returns when everything that exists is known.
func (w watched) start(ctx context.Context, gate *gate) error {
	if err := w.pods.SetTransform(gate.essence); err != nil {
		return err
	}
	if _, err := w.pods.AddEventHandler(cache.ResourceEventHandlerFuncs{DeleteFunc: gate.forget}); err != nil {
		return err
	}
	for _, informer := range []cache.SharedIndexInformer{w.pods, w.namespaces, w.policies} {
		go informer.Run(ctx.Done())
	}
	if !cache.WaitForCacheSync(ctx.Done(), w.pods.HasSynced, w.namespaces.HasSynced, w.policies.HasSynced) {
		return errors.New("ended before all pods, namespaces and policies were read")
	}
	return nil
}

// tell makes the controller hear of every change.
func (w watched) tell(controller *netpol.NetworkPolicyController) error {
	for informer, handler := range map[cache.SharedIndexInformer]cache.ResourceEventHandler{
		w.pods:       controller.PodEventHandler,
		w.namespaces: controller.NamespaceEventHandler,
		w.policies:   controller.NetworkPolicyEventHandler,
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return err
		}
	}
	return nil
}
